"""The one way a run's state changes: a guarded update, with its row of history."""

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from trivium.runs.models import Outbox, Run, Transition

State = Run.State

ALLOWED: dict[str, set[str]] = {
    State.WAITING: {State.QUEUED, State.CANCELLED, State.PAUSED, State.FAILED},
    State.QUEUED: {State.RUNNING, State.PAUSED, State.CANCELLED, State.FAILED},
    State.RUNNING: {
        State.QUEUED, State.PAUSING, State.PAUSED,
        State.SUCCEEDED, State.FAILED, State.CANCELLED,
    },
    State.PAUSING: {
        State.QUEUED, State.PAUSED, State.SUCCEEDED, State.FAILED, State.CANCELLED,
    },
    State.PAUSED: {State.QUEUED, State.WAITING, State.CANCELLED},
}  # fmt: skip
"""Terminal states are no keys: they never change."""


def move_run(
    *,
    run_id: int,
    sources: Collection[str],
    target: str,
    actor: str,
    fence: int | None = None,
    reason: str = "",
    **changes: Any,
) -> bool:
    """Change a run's state if it is in one of `sources` and, if given, at `fence`.

    False says that it was not, and nothing changed. A run that becomes queued gets its
    outbox row here, in the same transaction.
    """
    assert all(target in ALLOWED[source] for source in sources), (sources, target)
    with transaction.atomic():
        found = Run.objects.select_for_update().filter(pk=run_id, state__in=sources)
        if fence is not None:
            found = found.filter(fence=fence)
        run = found.only("state", "fence", "queue").first()
        if run is None:
            return False
        if target in Run.TERMINAL:
            changes.setdefault("ended", Now())
        if target not in Run.LIVE:
            changes.setdefault("lease_until", None)
        updated = Run.objects.filter(
            pk=run_id, state=run.state, fence=run.fence
        ).update(state=target, version=F("version") + 1, reason=reason, **changes)
        if not updated:
            return False
        Transition.objects.create(
            run_id=run_id,
            fence=changes.get("fence", run.fence),
            from_state=run.state,
            to_state=target,
            actor=actor,
            reason=reason,
        )
        if target == State.QUEUED:
            Outbox.objects.create(run_id=run_id, queue=run.queue)
    return True
