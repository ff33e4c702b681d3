"""The form of RLHF: prompts, rewards as lines, and the settings that apply."""

import pytest
from runspec import RlhfSpec
from trivium.models.models import LanguageModel
from trivium.runs.errors import SubmitError
from trivium.runs.forms import SpecForm
from trivium.runs.kinds import start_run
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
RULES = "length minimum=3 maximum=30\r\npattern pattern='so far' weight=-1"


@pytest.fixture
def rater(make_model):
    made = make_model("Rater", "decoder")
    LanguageModel.objects.filter(pk=made.pk).update(stage="reward")
    return made


def test_a_run_is_checked_first_and_makes_an_aligned_model(
    bobs, model, rater, instructions, url
):
    page = bobs.get(f"{url('new')}?kind=rlhf&model={model.pk}")
    form = page.context["form"]
    assert [one.version for one in form.ingredients] == [instructions]
    offered = [pk for pk, _ in form.fields["reward_models"].choices]
    assert offered == [str(rater.pk)]
    typed = {
        "model": model.pk,
        "datasets": [instructions.pk],
        "reward_models": [rater.pk],
        "reward_functions": RULES,
        "name": "Aligned",
    }
    address = f"{url('new')}?kind=rlhf"
    run = bobs.post(address, typed, follow=True).context["run"]
    assert (run.kind, run.state) == ("rlhf", "waiting")
    assert run.depends_on.get().kind == "preflight"
    assert run.spec["reward_models"] == [str(rater.pk)]
    assert [one["name"] for one in run.spec["reward_functions"]] == [
        "length",
        "pattern",
    ]
    made = LanguageModel.objects.get(name="Aligned")
    assert (made.stage, made.architecture) == ("aligned", "decoder")
    again = bobs.get(f"{address}&from={run.pk}").context["form"]
    shown = again.fields["reward_functions"].initial.split("\n")
    assert shown == RULES.split("\r\n")


def test_what_is_wrong_is_said_beside_its_field(bobs, model, instructions, url):
    typed = {"model": model.pk, "datasets": [instructions.pk]}

    def errors(**changes: object) -> dict[str, list[str]]:
        page = bobs.post(f"{url('new')}?kind=rlhf", typed | changes)
        found: dict[str, list[str]] = page.context["form"].errors
        return found

    assert "both empty" in errors()["reward_models"][0]
    said = errors(reward_functions="length min=3")["reward_functions"][0]
    assert said == "Length has no setting 'min'; it has weight, minimum, maximum."
    other = errors(reward_functions="format", reward_models=[model.pk])
    assert "reward_models" in other
    assert not Run.objects.filter(kind="rlhf").exists()


def test_a_model_that_rates_nothing_is_refused_by_the_service(
    bob, model, instructions, project
):
    spec = RlhfSpec(
        model=str(model.pk),
        datasets=(str(instructions.pk),),
        reward_models=(str(model.pk),),
    )
    with pytest.raises(SubmitError, match="rates nothing") as refused:
        start_run(project=project, created_by=bob, spec=spec)
    assert refused.value.field == "reward_models"


def test_settings_that_do_not_apply_are_not_offered(project, model):
    def fields(**settings: str) -> set[str]:
        form = SpecForm(project, "rlhf", settings={"model": model.pk} | settings)
        return set(form.fields)

    assert not {"loss_type", "scale_rewards", "lora_rank"} & fields()
    assert "normalize_advantages" in fields()
    grpo = fields(algorithm="grpo")
    assert {"loss_type", "scale_rewards"} <= grpo
    assert "normalize_advantages" not in grpo
    assert "lora_rank" in fields(method="lora")
