"""Claiming: a worker takes the best queued run that fits its free devices."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce, Now

from trivium.runs import queries
from trivium.runs.models import Attempt, Run
from trivium.runs.transitions import move_run
from trivium.workers.models import Device, Worker

CANDIDATES = 50


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to be the one effective writer of a run, until a newer fence."""

    run_id: int
    fence: int


def claim_run(*, worker: Worker) -> Claim | None:
    """Give `worker` the best run that fits, or None. Of two workers one gets it."""
    with transaction.atomic():
        if Worker.objects.filter(pk=worker.pk, is_draining=True).exists():
            return None
        free: dict[str, list[Device]] = {}
        devices = Device.objects.filter(worker=worker, run=None)
        for device in devices.select_for_update():
            free.setdefault(device.kind, []).append(device)
        if not free:
            return None
        for run in queries.claimable_runs(list(free))[:CANDIDATES]:
            if run.num_devices > len(free[run.queue]):
                continue
            claim = _take(run, worker, free[run.queue][: run.num_devices])
            if claim is not None:
                return claim
    return None


def _take(run: Run, worker: Worker, devices: list[Device]) -> Claim | None:
    fence = run.fence + 1
    is_ours = move_run(
        run_id=run.pk,
        fence=run.fence,
        sources=[Run.State.QUEUED],
        target=Run.State.RUNNING,
        actor=f"worker {worker.name}",
        worker=worker,
        lease_until=Now() + timedelta(seconds=settings.LEASE_S),
        started=Coalesce("started", Now()),
        not_before=None,
        is_held_by_budget=False,
        phase="starting",
        eta_s=None,
        tokens_per_s=None,
    )
    if not is_ours:
        return None
    # Still the same transaction: nobody sees the run running at its old fence.
    Run.objects.filter(pk=run.pk).update(fence=fence)
    Device.objects.filter(pk__in=[device.pk for device in devices]).update(
        run=run, fence=fence
    )
    Attempt.objects.create(
        run=run,
        fence=fence,
        worker=worker,
        devices=[
            f"{'cuda' if device.kind == Device.Kind.GPU else 'cpu'}:{device.index}"
            for device in devices
        ],
    )
    return Claim(run_id=run.pk, fence=fence)
