"""The forms that align: a decoder and preferences, and the settings that apply."""

import pytest
from trivium.models.models import LanguageModel
from trivium.runs.forms import SpecForm

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
KINDS = {"dpo": ("aligned", False), "reward": ("reward", True)}


def turn(role: str, text: str) -> dict[str, str | None]:
    return {"role": role, "content": text, "tool_calls": None}


@pytest.fixture
def preferences(make_dataset):
    row = {
        "prompt": [turn("user", "Hi")],
        "chosen": [turn("assistant", "Hello!")],
        "rejected": [turn("assistant", "No.")],
        "is_chat": True,
    }
    return make_dataset("preferences", [row])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_checked_first_and_makes_a_model_of_its_stage(
    kind, bobs, model, preferences, instructions, url
):
    page = bobs.get(f"{url('new')}?kind={kind}&model={model.pk}")
    form = page.context["form"]
    assert [one.version for one in form.ingredients] == [preferences]
    typed = {"model": model.pk, "datasets": [preferences.pk], "name": "Better"}
    run = bobs.post(f"{url('new')}?kind={kind}", typed, follow=True).context["run"]
    assert (run.kind, run.state) == (kind, "waiting")
    assert run.depends_on.get().kind == "preflight"
    made = LanguageModel.objects.get(name="Better")
    stage, has_head = KINDS[kind]
    assert (made.stage, made.architecture) == (stage, "decoder")
    assert ("head" in made.recognised) is has_head
    assert list(made.parents.all()) == [model]
    assert made.dataset == preferences


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_decoder_is_refused(kind, bobs, make_model, preferences, url):
    encoder = make_model("Coder", "encoder")
    typed = {"model": encoder.pk, "datasets": [preferences.pk]}
    page = bobs.post(f"{url('new')}?kind={kind}", typed)
    assert "is no decoder" in page.context["form"].errors["model"][0]


def test_settings_that_do_not_apply_are_not_offered(project, model):
    def fields(**settings: str) -> set[str]:
        form = SpecForm(project, "dpo", settings={"model": model.pk} | settings)
        return set(form.fields)

    assert not {"label_smoothing", "lora_rank"} & fields()
    assert {"label_smoothing", "soft_labels"} <= fields(loss_type="robust")
    assert "soft_labels" in fields(loss_type="ipo")
    assert "lora_rank" in fields(method="lora")


def test_the_estimate_counts_the_reference(bobs, model, preferences, url):
    typed = {"model": model.pk, "datasets": [preferences.pk], "method": "full"}

    def memory(**changes: str) -> float:
        address = f"{url('estimate')}?kind=dpo"
        return bobs.post(address, typed | changes).context["outlook"].memory_bytes

    without = memory(precompute_reference="true")
    assert memory() - without == 4 * model.num_parameters
