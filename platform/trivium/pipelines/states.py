"""What a step and a pipeline are doing, read off runs and campaigns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.db.models import QuerySet

from trivium.campaigns.models import Batch, Campaign
from trivium.campaigns.refreshing import has_its_votes
from trivium.pipelines.description import feeders
from trivium.pipelines.models import CAMPAIGN, Pipeline, Step
from trivium.runs.models import Run

LABELING = "labeling"
WORDS = {**dict(Run.State.choices), LABELING: "Labeling"}
"""State → how a page says it."""
BROKEN = (Run.State.FAILED, Run.State.CANCELLED)
ORDER = (
    Run.State.PAUSING,
    Run.State.RUNNING,
    Run.State.QUEUED,
    Run.State.FAILED,
    Run.State.CANCELLED,
    LABELING,
    Run.State.PAUSED,
    Run.State.WAITING,
)
"""Of states of steps, the first that is there is that of the pipeline."""


class StepState(NamedTuple):
    """What a step is doing."""

    state: str
    """A state of runs, or `labeling`."""
    reason: str
    """One sentence, where there is something to say."""
    advice: str
    run: Run | None
    """The run at work, or the last one there was."""

    @property
    def word(self) -> str:
        """How a page says the state."""
        return str(WORDS[self.state])

    @property
    def is_broken(self) -> bool:
        """Whether it holds what follows until somebody tries it again."""
        return self.state in BROKEN


def steps_of(pipeline: Pipeline) -> QuerySet[Step]:
    """Return the steps of a pipeline with all that tells their states."""
    return pipeline.steps.select_related("run", "campaign", "pipeline__project")


def states_of(steps: Sequence[Step]) -> dict[str, StepState]:
    """Return the state of each step of one pipeline, by name."""
    found: dict[str, StepState] = {}
    for step in steps:
        found[step.name] = _state_of(step, found)
    return found


def state_of_pipeline(pipeline: Pipeline, states: Mapping[str, StepState]) -> str:
    """Return what a pipeline is doing as a whole."""
    there = {one.state for one in states.values()}
    if there <= {Run.State.SUCCEEDED}:
        return Run.State.SUCCEEDED
    if pipeline.cancelled and not there & {Run.State.RUNNING, Run.State.PAUSING}:
        return Run.State.CANCELLED
    return next(state for state in ORDER if state in there)


def answering_run(campaign: Campaign) -> Run | None:
    """Return the run whose answers a campaign compares; None before there is one."""
    batches = Batch.objects.filter(campaign=campaign).select_related("run")
    batch = batches.order_by("pk").first()  # others were added by hand
    return batch.run if batch is not None else None


def has_answers(campaign: Campaign) -> bool:
    """Whether the answers to be compared are in."""
    run = answering_run(campaign)
    return run is not None and run.state == Run.State.SUCCEEDED


def has_ended(campaign: Campaign) -> bool:
    """Whether a campaign has the votes it wants, or was closed."""
    if campaign.state == Campaign.State.CLOSED:
        return True
    if not has_answers(campaign):
        return False
    return has_its_votes(campaign) or not campaign.items.filter(is_open=True).exists()


def held_by(step: Step, states: Mapping[str, StepState]) -> str:
    """Return which failed step holds a step, as a sentence; empty: none does."""
    for name in feeders(step.kind, step.settings, step.needs):
        other = states.get(name)
        if other is not None and other.is_broken:
            what = "was cancelled" if other.state == Run.State.CANCELLED else "failed"
            why = f": {other.reason.rstrip('.')}" if other.reason else ""
            return f"waits for step {name}, which {what}{why}"
    return ""


def _state_of(step: Step, before: Mapping[str, StepState]) -> StepState:
    if step.run is not None and step.is_started:
        return _of_run(step, step.run, before)
    if step.kind == CAMPAIGN and step.campaign is not None and not step.refusal:
        return _of_campaign(step.campaign)
    if step.refusal:
        return StepState(Run.State.FAILED, step.refusal, "", None)
    if step.pipeline.cancelled or step.is_started:
        return StepState(Run.State.CANCELLED, "", "", None)
    return StepState(Run.State.WAITING, _waits_for(step, before), "", None)


def _of_run(step: Step, run: Run, before: Mapping[str, StepState]) -> StepState:
    reason = run.reason
    if run.state == Run.State.WAITING:
        reason = _waits_for(step, before) or "is checked before it takes a device"
    return StepState(run.state, reason, run.advice, run)


def _of_campaign(campaign: Campaign) -> StepState:
    """Return the state of a campaign whose votes are not exported yet."""
    run = answering_run(campaign)
    if run is not None and run.state != Run.State.SUCCEEDED:
        reason = run.reason
        if not reason and not run.is_finished:
            reason = "models answer the prompts"
        return StepState(run.state, reason, run.advice, run)
    reason = ""
    if campaign.state == Campaign.State.PAUSED and not has_ended(campaign):
        reason = "the campaign is paused: nothing is handed out"
    return StepState(LABELING, reason, "", run)


def _waits_for(step: Step, before: Mapping[str, StepState]) -> str:
    if held := held_by(step, before):
        return held
    names = [
        name
        for name in feeders(step.kind, step.settings, step.needs)
        if name in before and before[name].state != Run.State.SUCCEEDED
    ]
    plural = "" if len(names) == 1 else "s"
    return f"waits for step{plural} {', '.join(names)}" if names else ""
