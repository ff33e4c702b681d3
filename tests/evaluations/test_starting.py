"""What a run may be asked to evaluate, and what it waits for."""

import pytest
from runspec import EvaluateSpec, PretrainSpec
from trivium.evaluations.models import Evaluation
from trivium.models.models import LanguageModel
from trivium.runs import kinds
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


@pytest.fixture
def start(project, bob, of_the_world):
    def started(*models: str, **values: object) -> Run:
        given = {"datasets": (str(of_the_world.pk),), "models": models} | values
        name = str(given.pop("name", ""))
        spec = EvaluateSpec(**given)
        return kinds.start_run(project=project, created_by=bob, spec=spec, name=name)

    return started


def test_models_are_named_by_their_whole_ids_and_the_result_after_them(start, line):
    run = start("Base", "grammar/Aligned")
    assert run.spec["models"] == ["grammar/Base", "grammar/Aligned"]
    assert run.name == "Base → Aligned"
    assert run.state == Run.State.QUEUED


@pytest.mark.parametrize(
    ("values", "words", "field"),
    [
        ({"models": ("Nobody",)}, "no model", "models"),
        ({"models": ("Base", "grammar/Base")}, "stands there twice", "models"),
        ({"baseline": "Instruct"}, "is not among the models", "baseline"),
        ({"judge": "Instruct"}, "is no reward model", "judge"),
        ({"datasets": ("999",)}, "has no dataset '999'", "datasets"),
        ({"name": "x" * 300}, "300 characters", "name"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_and_nothing_is_made(
    values, words, field, start, line
):
    models = values.pop("models", ("Base",))
    with pytest.raises(SubmitError, match=words) as refused:
        start(*models, **values)
    assert refused.value.field == field
    assert not Run.objects.exists()
    assert not Evaluation.objects.exists()


def test_it_waits_for_a_model_that_is_still_being_made(
    start, project, bob, make_dataset, line
):
    text = make_dataset("Text", "text", train=[{"text": "a"}])
    tokenizer = Tokenizer.objects.create(
        project=project, name="Letters", dataset=text, path="tokenizers/letters"
    )
    spec = PretrainSpec(dataset=str(text.pk), tokenizer=str(tokenizer.pk))
    training = kinds.start_run(project=project, created_by=bob, spec=spec, name="Next")
    run = start("Next")
    assert run.state == Run.State.WAITING
    assert training in run.depends_on.all()
    # Once its run has come to nothing there is nothing to wait for.
    Run.objects.filter(pk=training.pk).update(state=Run.State.FAILED)
    with pytest.raises(SubmitError, match="no model"):
        start("Next")
    LanguageModel.objects.filter(name="Next").update(path="models/next")
    assert start("Next").state == Run.State.QUEUED


def test_another_try_fills_what_an_earlier_one_left_empty(start, line, bob):
    first = start("Base")
    made = Evaluation.objects.get()
    Run.objects.filter(pk=first.pk).update(state=Run.State.FAILED)
    first.refresh_from_db()
    again = kinds.retry_run(run=first, actor=bob, changes={})
    assert Evaluation.objects.get().pk == made.pk
    assert Evaluation.objects.get().run == again
    assert again.continues == first
    # With other settings it is another evaluation.
    Run.objects.filter(pk=again.pk).update(state=Run.State.FAILED)
    again.refresh_from_db()
    kinds.retry_run(run=again, actor=bob, changes={"max_rows": 7})
    assert Evaluation.objects.count() == 2
