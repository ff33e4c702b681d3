"""Every write people ask of pipelines: make, retry, edit, cancel, delete."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from trivium.accounts.models import User
from trivium.campaigns.making import pause_campaign
from trivium.campaigns.models import Campaign
from trivium.datasets.services import InUseError
from trivium.naming import MAX_NAME, clean_name, free_name
from trivium.pipelines.advancing import (
    rehearse,
    start_or_explain,
)
from trivium.pipelines.description import (
    Description,
    check_feeders,
    check_settings,
    feeders,
    in_order,
    refusal,
)
from trivium.pipelines.models import CAMPAIGN, Pipeline, Step
from trivium.pipelines.objects import by_ids
from trivium.pipelines.states import (
    BROKEN,
    answering_run,
    held_by,
    states_of,
    steps_of,
)
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs import services as runs
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.models import Run

NOT_BEGUN = (Run.State.WAITING, Run.State.QUEUED, Run.State.PAUSED)


@transaction.atomic
def create_pipeline(
    *,
    project: Project,
    created_by: User,
    description: Description,
    text: str = "",
    previous: Pipeline | None = None,
) -> Pipeline:
    """Make a pipeline and start what can be started: all of it, or nothing.

    What waits for people is rehearsed, so that it is refused now rather than then. A
    name that is taken gets a number.

    Raises:
        SubmitError: an object is not of this project, a step would be refused, or the
            person has too many runs queued; the sentence names the step.
    """
    wanted = clean_name(description.name)[: MAX_NAME - 8]
    if not wanted:
        raise SubmitError("give the pipeline a name", field="name")
    pipeline = Pipeline.objects.create(
        project=project,
        created_by=created_by,
        name=free_name(wanted, lambda one: project.pipelines.filter(name=one).exists()),
        text=text,
        previous=previous,
        round=previous.round + 1 if previous is not None else 1,
    )
    Step.objects.bulk_create(
        Step(
            pipeline=pipeline,
            position=position,
            name=step.name,
            kind=step.kind,
            settings=by_ids(project, step.name, step.kind, step.settings),
            needs=list(step.needs),
            output=clean_name(step.output, field=f"steps.{step.name}.output"),
        )
        for position, step in enumerate(in_order(description.steps), start=1)
    )
    for step in steps_of(pipeline):
        start_or_explain(step, created_by)
    rehearse(pipeline, created_by)
    return pipeline


@transaction.atomic
def retry_step(step: Step, *, actor: User) -> None:
    """Try a failed or cancelled step again; what it held goes on by itself.

    Raises:
        IllegalTransitionError: it has not failed.
        SubmitError: it is refused, or an earlier step has failed as well.
    """
    step = _locked(step)
    run = _run_to_retry(step)
    if run is None and not step.refusal and not _is_over_and_done(step):
        state = states_of(list(steps_of(step.pipeline)))[step.name]
        raise IllegalTransitionError(
            f"step {step.name} is {state.word.lower()}; only a failed or cancelled "
            "step can be tried again"
        )
    _reopen(step.pipeline)
    if run is not None:
        _retry_run(step, run, actor)
    else:
        _start_again(step, actor)


@transaction.atomic
def edit_step(step: Step, *, actor: User, changes: Mapping[str, Any]) -> None:
    """Change settings of a step that failed or has not begun, and go on.

    A setting that is None goes back to what it is by default.

    Raises:
        IllegalTransitionError: it is at work, or done.
        SubmitError: the settings are wrong.
    """
    step = _locked(step)
    pipeline = step.pipeline
    _must_be_editable(step)
    settings = {**step.settings, **changes}
    settings = {name: one for name, one in settings.items() if one is not None}
    _check_edited(step, settings)
    step.settings = by_ids(pipeline.project, step.name, step.kind, settings)
    if step.run is not None and step.run.state in NOT_BEGUN:
        # What waits for it will wait for the run that takes its place.
        runs.request_cancel(step.run, actor)
    step.is_started, step.refusal = False, ""
    step.save(update_fields=["settings", "is_started", "refusal"])
    _reopen(pipeline)
    start_or_explain(step, actor)
    rehearse(pipeline, actor)


def cancel_pipeline(pipeline: Pipeline, *, actor: User) -> int:
    """Cancel each of its runs, pause its campaigns; return how many runs that were.

    Raises:
        IllegalTransitionError: there is nothing left to cancel.
    """
    with transaction.atomic():
        Pipeline.objects.select_for_update().get(pk=pipeline.pk)
        left = unfinished_runs(pipeline)
        is_waiting = pipeline.steps.filter(is_started=False).exists()
        open_campaigns = _open_campaigns(pipeline)
        if not (left or is_waiting or open_campaigns) or pipeline.cancelled:
            raise IllegalTransitionError("nothing of this pipeline is left to cancel")
        Pipeline.objects.filter(pk=pipeline.pk).update(cancelled=timezone.now())
        pipeline.refresh_from_db()
        for campaign in open_campaigns:
            pause_campaign(campaign)
        count = 0
        for run in left:
            try:
                runs.request_cancel(run, actor)
            except IllegalTransitionError:
                continue  # it ended meanwhile
            count += 1
    return count


def delete_pipeline(pipeline: Pipeline) -> None:
    """Forget a pipeline; its runs, models and campaigns stay.

    Raises:
        InUseError: some of it is not finished.
    """
    with transaction.atomic():
        Pipeline.objects.select_for_update().get(pk=pipeline.pk)
        if left := unfinished_runs(pipeline):
            raise InUseError(
                f"{left[0].name} is {left[0].get_state_display().lower()}; cancel the "
                "pipeline first"
            )
        if not pipeline.cancelled and pipeline.steps.filter(is_started=False).exists():
            raise InUseError(
                "steps of it wait to be started; cancel the pipeline first"
            )
        pipeline.delete()


def unfinished_runs(pipeline: Pipeline) -> list[Run]:
    """Return the runs of a pipeline that have not ended, last steps first.

    So that nothing that waits is let go for a moment.
    """
    found = []
    for step in reversed(steps_of(pipeline)):
        answers = answering_run(step.campaign) if step.campaign else None
        found += [run for run in (step.run, answers) if run and not run.is_finished]
    return found


def _open_campaigns(pipeline: Pipeline) -> list[Campaign]:
    waiting = Campaign.objects.filter(
        pipeline_step__pipeline=pipeline, pipeline_step__run=None
    )
    return list(waiting.filter(state=Campaign.State.OPEN))


def _locked(step: Step) -> Step:
    """Return a step as it is now, while nobody else starts steps of its pipeline."""
    Pipeline.objects.select_for_update().get(pk=step.pipeline_id)
    return steps_of(step.pipeline).get(pk=step.pk)


def _reopen(pipeline: Pipeline) -> None:
    """Let a cancelled pipeline start steps again."""
    Pipeline.objects.filter(pk=pipeline.pk).update(cancelled=None)
    pipeline.cancelled = None


def _run_to_retry(step: Step) -> Run | None:
    """Return the failed or cancelled run of a step, if that is what ails it."""
    run = step.run
    if run is None and step.campaign is not None:
        run = answering_run(step.campaign)
    return run if run is not None and run.state in BROKEN else None


def _is_over_and_done(step: Step) -> bool:
    """Whether the step was never started, and its pipeline was cancelled."""
    return not step.is_started and step.pipeline.cancelled is not None


def _start_again(step: Step, actor: User) -> None:
    step.refusal = ""
    step.save(update_fields=["refusal"])
    Pipeline.objects.filter(pk=step.pipeline_id, created_by=None).update(
        created_by=actor
    )
    start_or_explain(step, actor)


def _retry_run(step: Step, run: Run, actor: User) -> None:
    steps = list(steps_of(step.pipeline))
    if run == step.run and (held := held_by(step, states_of(steps))):
        raise SubmitError(f"step {step.name} {held}", field=f"steps.{step.name}")
    needed = [
        one.run
        for one in steps
        if one.name in step.needs and one.run is not None and not one.run.is_finished
    ]
    try:
        kinds.retry_run(run=run, actor=actor, changes={}, depends_on=needed)
    except SubmitError as error:
        raise refusal(step.name, step.kind, error) from error


def _must_be_editable(step: Step) -> None:
    if step.kind == CAMPAIGN and step.campaign is not None:
        raise IllegalTransitionError(
            f"the campaign of step {step.name} is there already; change its settings "
            "on its own page"
        )
    run = step.run
    is_begun = run is not None and run.state not in {*NOT_BEGUN, *BROKEN}
    if run is not None and (is_begun or (run.state == Run.State.PAUSED and run.fence)):
        raise IllegalTransitionError(
            f"step {step.name} is {run.get_state_display().lower()}; only a step that "
            "failed, was cancelled or has not begun can be edited"
        )


def _check_edited(step: Step, settings: Mapping[str, Any]) -> None:
    check_settings(step.name, step.kind, settings)
    steps = {one.name: one for one in step.pipeline.steps.all()}
    check_feeders(
        step.name,
        step.kind,
        settings,
        step.needs,
        {name: (one.kind, one.settings) for name, one in steps.items()},
    )
    for name in feeders(step.kind, settings, step.needs):
        if steps[name].position >= step.position:
            raise SubmitError(
                f"step {step.name}: it cannot take from step {name}, which comes after "
                "it",
                field=f"steps.{step.name}",
            )
