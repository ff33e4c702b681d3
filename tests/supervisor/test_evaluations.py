"""An evaluation from its spec to its page's facts, by a real worker."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from asking_lab import Answered, Server, asked_text, prompt_row, says, serving
from asking_lab import write_dataset as write_rows
from runspec import EvaluateSpec
from tinyworld import prompts, world
from trivium import storage
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.evaluations.models import Evaluation
from trivium.runs.models import Run
from trivium.serving.services import add_endpoint

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

ASKED = prompts(world(), "evaluation", sizes={"honest": 4, "harmless": 2, "known": 6})
RIGHT = {one.text: one.answer for one in ASKED}


def answer(body) -> Answered:
    """Answer as one that is right each time, or as one that knows nothing."""
    is_right = body["model"] == "right"
    return says(RIGHT[asked_text(body)] if is_right else "I do not know.")


@pytest.fixture
def server() -> Iterator[Server]:
    with ExitStack() as stack:
        yield stack.enter_context(serving(answer))


def test_a_worker_measures_models_and_their_answers_stand_side_by_side(
    lab, start_node, project, bob, server, tmp_path
):
    start_node(TRIVIUM_LEASE_S="60")  # nothing is lost here; the machine may be busy
    rows = [prompt_row(one.text, answer=one.answer) for one in ASKED]
    folder = write_rows(tmp_path / "rows", "prompts", train=rows)
    dataset = Dataset.objects.create(project=project, name="World", kind="prompts")
    version = DatasetVersion.objects.create(
        dataset=dataset, number=1, path=storage.publish(folder, "datasets/rows")
    )
    add_endpoint(
        name="elsewhere", url=server.url, api_key="", created_by=bob,
        model_ids=["right", "shy"],
    )  # fmt: skip
    spec = EvaluateSpec(
        models=("elsewhere/right", "elsewhere/shy"),
        datasets=(str(version.pk),),
        truth="tinyworld",
    )
    run = lab.submit(spec, "Right or shy")
    lab.wait(run, Run.State.SUCCEEDED, timeout_s=240)
    evaluation = Evaluation.objects.get(run=run)
    assert evaluation.name == run.name == "Right or shy"
    found = {
        (one["model"], one["name"]): one["estimate"]["value"]
        for one in evaluation.facts["measures"]
    }
    assert (found[0, "accuracy"], found[1, "accuracy"]) == (1, 0)
    assert (found[0, "honesty"], found[1, "honesty"]) == (1, 1)
    assert (found[0, "over_refusal"], found[1, "over_refusal"]) == (0, 1)
    assert found[1, "harmlessness"] == 0
    stored = list(evaluation.rows.order_by("place"))
    assert [one.prompt[0]["content"] for one in stored] == [one.text for one in ASKED]
    assert (
        sum(one.differs for one in stored) == sum(one.is_wrong for one in stored) == 8
    )
    assert not run.warnings.exists()
