"""The sweeper: finds what processes that died left behind. Any number may run."""

import logging
import threading
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, close_old_connections, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from trivium.bell import ringing
from trivium.planning import budgets
from trivium.runs.models import Attempt, Outbox, Run
from trivium.runs.transitions import move_run
from trivium.workers.models import Device

logger = logging.getLogger(__name__)
State = Run.State
MAX_LOST_IN_A_ROW = 5


def sweep() -> None:
    """Take back lapsed leases, promote waiting runs, ring bells nobody heard; keep
    projects within their budgets.
    """
    for run in Run.objects.filter(state__in=Run.LIVE, lease_until__lt=Now()):
        take_back(run)
    promote_waiting()
    start_what_follows()
    budgets.enforce()
    Device.objects.exclude(run=None).filter(
        ~Q(run__state__in=Run.LIVE) | ~Q(run__fence=F("fence"))
    ).update(run=None)
    ring_outbox()


def take_back(run: Run) -> bool:
    """End the attempt of a lost host or supervisor; its run goes on elsewhere."""
    wanted = {
        Run.Desired.CANCEL.value: (State.CANCELLED, ""),
        Run.Desired.PAUSE.value: (State.PAUSED, run.reason),
    }
    target, reason = wanted.get(
        run.desired_state, (State.QUEUED, "its supervisor was lost; it goes on")
    )
    if target == State.QUEUED and _kills_its_workers(run):
        target = State.FAILED
        reason = f"its host or supervisor died {MAX_LOST_IN_A_ROW} times in a row"
    with transaction.atomic():
        moved = move_run(
            run_id=run.pk,
            fence=run.fence,
            sources=Run.LIVE,
            target=target,
            actor="sweeper",
            reason=reason,
            desired_state=Run.Desired.NONE,
            eta_s=None,
            tokens_per_s=None,
        )
        if moved:
            Attempt.objects.filter(run=run, fence=run.fence).update(
                outcome=Attempt.Outcome.LOST, ended=Now(), reason="the lease lapsed"
            )
            Device.objects.filter(run=run, fence=run.fence).update(run=None)
    return moved


def _kills_its_workers(run: Run) -> bool:
    """Whether the last attempts were all lost at the same place."""
    last = list(run.attempts.order_by("-fence")[:MAX_LOST_IN_A_ROW])
    earlier = last[1:]
    return (
        len(last) == MAX_LOST_IN_A_ROW
        and all(attempt.outcome == Attempt.Outcome.LOST for attempt in earlier)
        and len({attempt.resumed_from for attempt in last}) == 1
    )


def start_what_follows() -> None:
    """Start steps of pipelines that can be started by now."""
    from trivium.pipelines.advancing import advance_all  # it imports this package

    advance_all()


def move_waiting_on() -> None:
    """Let runs that wait for one that just ended go on at once, not a sweep later."""
    promote_waiting()
    ring_outbox()


def promote_waiting() -> None:
    """Queue runs whose inputs are made; say of the others what holds them."""
    for run in Run.objects.filter(state=State.WAITING).prefetch_related("depends_on"):
        needed = list(run.depends_on.all())
        if all(other.state == State.SUCCEEDED for other in needed):
            move_run(
                run_id=run.pk,
                sources=[State.WAITING],
                target=State.QUEUED,
                actor="sweeper",
            )
            continue
        dead = [
            other for other in needed if other.state in {State.FAILED, State.CANCELLED}
        ]
        if dead and dead[0].kind == Run.Kind.PREFLIGHT:
            refuse_run(run, dead[0])
        elif dead:
            reason = (
                f"held: {dead[0].name} {dead[0].get_state_display().lower()}; "
                "try that run again, or cancel this one"
            )
            Run.objects.filter(pk=run.pk, state=State.WAITING).exclude(
                reason=reason
            ).update(reason=reason, version=F("version") + 1)


def refuse_run(run: Run, preflight: Run) -> None:
    """End a run whose preflight found what must be mended first, in its words."""
    is_cancelled = preflight.state == State.CANCELLED
    move_run(
        run_id=run.pk,
        sources=[State.WAITING],
        target=State.CANCELLED if is_cancelled else State.FAILED,
        actor="sweeper",
        reason="its preflight was cancelled" if is_cancelled else preflight.reason,
        error_class=preflight.error_class,
        advice=preflight.advice,
    )


def ring_outbox() -> None:
    """Ring for queued runs whose bell may not have been heard."""
    waiting = Outbox.objects.filter(rung=None)
    for queue in set(waiting.values_list("queue", flat=True)):
        newest = waiting.filter(queue=queue).order_by("-pk").first()
        if newest is not None and ringing.ring(queue):
            waiting.filter(queue=queue, pk__lte=newest.pk).update(rung=Now())
    Outbox.objects.filter(rung__lt=Now() - timedelta(days=1)).delete()


class Sweeper(threading.Thread):
    """Sweeps every few seconds until stopped."""

    def __init__(self) -> None:
        """Prepare; `start()` begins."""
        super().__init__(name="sweeper", daemon=True)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Sweep until `stop`; a database that is away is tried again."""
        while not self._stopped.wait(settings.SWEEP_S):
            try:
                close_old_connections()
                sweep()
            except DatabaseError as error:
                logger.warning("Sweeping failed, will be tried again: %s", error)

    def stop(self) -> None:
        """Ask it to end."""
        self._stopped.set()
