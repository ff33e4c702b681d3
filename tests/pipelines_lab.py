"""A project with data for all three stages, and pipelines described over it."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from campaigns_lab import World, add_comparisons
from django.utils import timezone
from trivium.accounts.models import User
from trivium.campaigns.models import Campaign
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.models.models import LanguageModel
from trivium.pipelines import services
from trivium.pipelines.description import read_description
from trivium.pipelines.models import Pipeline, Step
from trivium.pipelines.states import StepState, states_of, steps_of
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.runs.sweeping import sweep
from trivium.runs.transitions import move_run
from trivium.serving.services import add_endpoint
from trivium.tokenizers.models import Tokenizer

THREE = """
name: Stages
steps:
  - name: tokenizer
    kind: tokenizer
    dataset: Text
  - name: base
    kind: pretrain
    dataset: Text
    tokenizer: {from: tokenizer}
    width: 32
  - name: instruct
    kind: sft
    model: {from: base}
    datasets: [Asked]
  - name: aligned
    kind: dpo
    model: {from: instruct}
    datasets: [Preferred]
"""

LABELED = """
name: Labeled
steps:
  - name: labels
    kind: campaign
    prompts: Prompts
    answerers: [elsewhere/kind, elsewhere/rude]
    target_votes: 2
    guidelines: Prefer what **helps**.
    questions: {axes: required}
    min_share: 0.6
  - name: aligned
    kind: dpo
    model: Instruct
    datasets: [{from: labels}]
  - name: reward
    kind: reward
    model: Instruct
    datasets: [Preferred, {from: labels}]
"""


@pytest.fixture
def data(project: Project) -> dict[str, DatasetVersion]:
    """A version of each kind that a stage learns from."""
    kinds = {
        "Text": "text",
        "Asked": "instructions",
        "Preferred": "preferences",
        "Prompts": "prompts",
    }
    return {name: make_version(project, name, kind) for name, kind in kinds.items()}


def make_version(project: Project, name: str, kind: str) -> DatasetVersion:
    dataset, _ = Dataset.objects.get_or_create(project=project, name=name, kind=kind)
    number = dataset.versions.count() + 1
    return DatasetVersion.objects.create(
        dataset=dataset, number=number, path=f"datasets/{dataset.pk}-{number}", rows=100
    )


def make_model(project: Project, name: str, stage: str = "instruct") -> LanguageModel:
    return LanguageModel.objects.create(
        project=project,
        name=name,
        stage=stage,
        architecture="decoder",
        family="llama",
        path=f"models/{name}",
        recognised={"head": "sequence-classification"} if stage == "reward" else {},
    )


@pytest.fixture
def make(project: Project, bob: User, data: Any) -> Callable[..., Pipeline]:
    """Make a pipeline of a text, as an engineer."""

    def made(text: str = THREE, by: User = bob) -> Pipeline:
        return services.create_pipeline(
            project=project,
            created_by=by,
            description=read_description(text),
            text=text,
        )

    return made


def step_of(pipeline: Pipeline, name: str) -> Step:
    return steps_of(pipeline).get(name=name)


def states(pipeline: Pipeline) -> dict[str, StepState]:
    return states_of(list(steps_of(Pipeline.objects.get(pk=pipeline.pk))))


def words(pipeline: Pipeline) -> dict[str, str]:
    return {name: str(one.state) for name, one in states(pipeline).items()}


def finish(run: Run, **result: Any) -> None:
    """End a run as a worker would, its preflight before it; fill its object."""
    sweep()
    for check in run.depends_on.filter(kind=Run.Kind.PREFLIGHT):
        end(check, Run.State.SUCCEEDED)
    sweep()
    Run.objects.filter(pk=run.pk).update(result=result)
    end(run, Run.State.SUCCEEDED)
    LanguageModel.objects.filter(run=run).update(path=f"models/{run.pk}")
    DatasetVersion.objects.filter(run=run).update(path=f"datasets/{run.pk}", rows=50)
    Tokenizer.objects.filter(run=run).update(path=f"tokenizers/{run.pk}")


def fail(run: Run, reason: str = "The loss is not finite.") -> None:
    sweep()
    for check in run.depends_on.filter(kind=Run.Kind.PREFLIGHT):
        end(check, Run.State.SUCCEEDED)
    sweep()
    end(run, Run.State.FAILED, reason=reason, error_class="not_finite")


def end(run: Run, state: str, **changes: Any) -> None:
    run.refresh_from_db()
    if run.is_finished:
        return
    assert run.state == Run.State.QUEUED, (run, run.state, run.reason)
    assert move_run(
        run_id=run.pk,
        sources=[Run.State.QUEUED],
        target=Run.State.RUNNING,
        actor="test",
        lease_until=timezone.now() + timedelta(minutes=1),
        fence=0,
    )
    assert move_run(
        run_id=run.pk,
        sources=[Run.State.RUNNING],
        target=state,
        actor="test",
        **changes,
    )
    run.refresh_from_db()


def elsewhere(person) -> None:
    add_endpoint(
        name="elsewhere", url="http://127.0.0.1:9", api_key="", created_by=person,
        model_ids=["kind", "rude"],
    )  # fmt: skip


def answer_prompts(pipeline, number=3) -> Campaign:
    """Bring the answers in that the step's run was to make."""
    campaign = step_of(pipeline, "labels").campaign
    batch = campaign.batches.get()
    answerers = list(campaign.answerers.order_by("pk"))
    world = World(num_prompts=number)
    made = add_comparisons(
        campaign, pipeline.created_by, answerers, world, random.Random(1)
    )
    campaign.items.update(batch=batch)
    made.delete()
    finish(batch.run)
    return campaign


def vote(campaign, number) -> None:
    for item in campaign.items.filter(is_open=True).order_by("pk")[:number]:
        campaign.items.filter(pk=item.pk).update(num_votes=1, is_open=False)
