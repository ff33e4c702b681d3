"""What people ask of runs: submit, cancel, pause, resume, reorder."""

import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import F
from runspec import Spec, parse_spec

from trivium.accounts.models import User
from trivium.bell import ringing
from trivium.projects.models import Project
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.models import Outbox, Run, Transition
from trivium.runs.queries import queued_runs_of
from trivium.runs.transitions import move_run
from trivium.workers.queries import queue_for

logger = logging.getLogger(__name__)
State = Run.State
MAX_PRIORITY = 100


def submit_run(
    *,
    project: Project,
    created_by: User,
    spec: Spec,
    name: str = "",
    priority: int = 0,
    depends_on: Sequence[Run] = (),
) -> Run:
    """Record a run and its outbox row; ring the bell once both are visible.

    Raises:
        SubmitError: the person has too many runs queued, or the priority is out of
            range.
    """
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise SubmitError(
            f"priority {priority} is not between -{MAX_PRIORITY} and {MAX_PRIORITY}",
            field="priority",
        )
    with transaction.atomic():
        its_own = [run.pk for run in depends_on]
        num_queued = queued_runs_of(created_by).exclude(pk__in=its_own).count()
        if num_queued >= settings.MAX_QUEUED_PER_USER:
            raise SubmitError(
                f"you have {num_queued} runs queued; {settings.MAX_QUEUED_PER_USER} "
                "are allowed"
            )
        run = Run.objects.create(
            project=project,
            created_by=created_by,
            kind=spec.kind,
            name=name or spec.kind,
            spec=spec.model_dump(mode="json"),
            spec_sha256=spec.sha256(),
            state=State.WAITING if depends_on else State.QUEUED,
            reason=_waits_for(depends_on),
            priority=priority,
            queue=queue_for(spec),
            num_devices=getattr(spec, "num_devices", 1),
        )
        run.depends_on.set(depends_on)
        Transition.objects.create(
            run=run, fence=0, to_state=run.state, actor=created_by.username
        )
        Outbox.objects.create(run=run, queue=run.queue)
        ring_on_commit(run.queue)
    return run


def ring_on_commit(queue: str) -> None:
    """Ring once the transaction is visible; a broker that is down must not matter."""
    transaction.on_commit(lambda: ringing.ring(queue), robust=True)


def _waits_for(depends_on: Sequence[Run]) -> str:
    return (
        f"waits for {', '.join(run.name for run in depends_on)}" if depends_on else ""
    )


def request_cancel(run: Run, actor: User) -> None:
    """Cancel at once where nothing runs; else let the supervisor do it.

    Raises:
        IllegalTransitionError: the run is finished.
    """
    if move_run(
        run_id=run.pk,
        sources=[State.WAITING, State.QUEUED, State.PAUSED],
        target=State.CANCELLED,
        actor=actor.username,
    ):
        cancel_preflights(run, actor)
        return
    wanted = Run.objects.filter(pk=run.pk, state__in=Run.LIVE).update(
        desired_state=Run.Desired.CANCEL, version=F("version") + 1
    )
    if not wanted:
        raise _illegal(run, "cancelled")


def cancel_preflights(run: Run, actor: User) -> None:
    """Cancel the check of a cancelled run: nobody asks for it any more."""
    checks = run.depends_on.filter(kind=Run.Kind.PREFLIGHT)
    for check in checks.exclude(state__in=Run.TERMINAL):
        request_cancel(check, actor)


def request_pause(run: Run, actor: User) -> None:
    """Ask a run to save and give its devices back until someone resumes it.

    Raises:
        IllegalTransitionError: it is finished, paused, or has nothing to save.
    """
    if move_run(
        run_id=run.pk,
        sources=[State.QUEUED, State.WAITING],
        target=State.PAUSED,
        actor=actor.username,
    ):
        return
    if not parse_spec(run.spec).is_resumable:
        raise IllegalTransitionError(
            f"a run of kind {run.kind} has no checkpoints, so pausing would lose its "
            "work; cancel it instead"
        )
    with transaction.atomic():
        if not move_run(
            run_id=run.pk,
            sources=[State.RUNNING],
            target=State.PAUSING,
            actor=actor.username,
        ):
            raise _illegal(run, "paused")
        Run.objects.filter(pk=run.pk).update(desired_state=Run.Desired.PAUSE)


def resume_run(run: Run, actor: User) -> None:
    """Put a paused run back into the queue.

    Raises:
        IllegalTransitionError: it is not paused.
    """
    unfinished = list(run.depends_on.exclude(state=State.SUCCEEDED))
    moved = move_run(
        run_id=run.pk,
        sources=[State.PAUSED],
        target=State.WAITING if unfinished else State.QUEUED,
        actor=actor.username,
        reason=_waits_for(unfinished),
        desired_state=Run.Desired.NONE,
        is_held_by_budget=False,
    )
    if not moved:
        raise _illegal(run, "resumed")
    ring_on_commit(run.queue)


def change_priority(run: Run, actor: User, priority: int) -> None:
    """Let a run be taken sooner or later than others.

    Raises:
        IllegalTransitionError: it is finished.
        SubmitError: the priority is out of range.
    """
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise SubmitError(
            f"priority {priority} is not between -{MAX_PRIORITY} and {MAX_PRIORITY}",
            field="priority",
        )
    changed = (
        Run.objects.filter(pk=run.pk)
        .exclude(state__in=Run.TERMINAL)
        .update(priority=priority, version=F("version") + 1)
    )
    if not changed:
        raise _illegal(run, "reordered")
    logger.info("Run %s has priority %s, by %s", run.pk, priority, actor.username)


def _illegal(run: Run, verb: str) -> IllegalTransitionError:
    state = Run.objects.values_list("state", flat=True).get(pk=run.pk)
    return IllegalTransitionError(f"a run that is {state} cannot be {verb}")


__all__ = [
    "IllegalTransitionError",
    "change_priority",
    "request_cancel",
    "request_pause",
    "resume_run",
    "ring_on_commit",
    "submit_run",
]
