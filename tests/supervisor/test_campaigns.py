"""A campaign from prompts to a dataset of preferences, by a real worker.

Both models are those of an endpoint on a real socket, which also judges.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pyarrow.parquet as pq
import pytest
from asking_lab import Answered, Server, asked_text, prompt_row, says, serving
from asking_lab import write_dataset as write_rows
from runspec import ExportSpec, JudgeSpec
from runspec.serving import Sampling
from trivium import storage
from trivium.campaigns import handing_out, making, voting
from trivium.campaigns.models import Item
from trivium.campaigns.questions import Details
from trivium.comparisons.models import Vote
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.runs.models import Run
from trivium.serving.services import add_endpoint

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

NUM_PROMPTS = 6


def answer(body) -> Answered:
    """Answer as the model that is asked would; the judge likes what is polite."""
    asked = asked_text(body)
    if body["model"] == "judge":
        first = asked.index("please") < asked.index("go away")
        return says(json.dumps({"reason": "polite", "verdict": "A" if first else "B"}))
    if asked.endswith("number 5"):
        return says("the same")
    manner = "please" if body["model"] == "kind" else "go away"
    return says(f"{manner}, {asked}")


@pytest.fixture
def server() -> Iterator[Server]:
    with ExitStack() as stack:
        yield stack.enter_context(serving(answer))


@pytest.fixture
def prompts(project, server, bob, tmp_path) -> DatasetVersion:
    rows = [prompt_row(f"number {number}") for number in range(NUM_PROMPTS)]
    folder = write_rows(tmp_path / "rows", "prompts", train=rows)
    key = storage.publish(folder, "datasets/rows")
    dataset = Dataset.objects.create(project=project, name="Rows", kind="prompts")
    add_endpoint(
        name="elsewhere", url=server.url, api_key="", created_by=bob,
        model_ids=["kind", "rude", "judge"],
    )  # fmt: skip
    return DatasetVersion.objects.create(dataset=dataset, number=1, path=key)


def label_all(campaign, person, prefers):
    """Vote for the answers that hold a word."""
    while tasks := handing_out.tasks_for(campaign, person):
        compared = tasks[0].item.comparison
        choice = "a" if prefers in compared.answer_a.text else "b"
        voting.cast_vote(
            labeler=person, key=tasks[0].key, choice=choice,
            details=Details(), ms_active=3_000,
        )  # fmt: skip


def test_prompts_become_comparisons_votes_and_pairs(
    lab, start_node, project, bob, lara, prompts
):
    start_node()
    campaign = making.create_campaign(
        project=project, created_by=bob, name="Manners",
        overlap=2, shared_share=0, repeat_share=0,
    )  # fmt: skip
    run = making.add_answers(
        campaign,
        actor=bob,
        prompts=prompts,
        answerers=[(f"elsewhere/{one}", Sampling()) for one in ("kind", "rude")],
    )
    lab.wait(run, Run.State.SUCCEEDED)
    batch = campaign.batches.get()
    assert batch.facts == {
        "prompts": 6, "comparisons": 5, "identical": 1, "failed": 0
    }  # fmt: skip
    assert Item.objects.filter(campaign=campaign, is_open=True).count() == 5

    label_all(campaign, lara, "please")
    label_all(campaign, bob, "please")

    spec = JudgeSpec(campaign=str(campaign.pk), judge="elsewhere/judge")
    lab.wait(lab.submit(spec), Run.State.SUCCEEDED)
    judge = campaign.judges.get()
    assert judge.facts == {
        "judged": 5, "silent": 0, "both_orders": 5, "same_in_both": 5
    }  # fmt: skip
    people = Vote.objects.filter(judge=None)
    assert people.count() == judge.votes.count() == 10
    best = dict(people.values_list("comparison", "choice"))
    assert dict(judge.votes.values_list("comparison", "choice")) == best

    export = ExportSpec(campaign=str(campaign.pk), validation_fraction=0)
    run = lab.wait(lab.submit(export, "Manners, judged"), Run.State.SUCCEEDED)
    version = DatasetVersion.objects.get(run=run)
    assert (version.dataset.kind, version.rows) == ("preferences", 5)
    folder = storage.local_copy(version.path)
    rows = pq.read_table(folder / version.card["splits"]["train"]["shards"][0])
    for row in rows.to_pylist():
        assert row["chosen"][0]["content"].startswith("please, number")
        assert row["rejected"][0]["content"].startswith("go away, number")
        assert (row["chosen_share"], row["num_votes"]) == (1.0, 2)
