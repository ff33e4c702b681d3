"""Every write to workers and devices."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from trivium.runs.models import Run
from trivium.workers.models import Device, Worker


@dataclass(frozen=True)
class Found:
    """A device a worker found on its host."""

    kind: Device.Kind
    index: int
    name: str
    memory_bytes: int = 0


@transaction.atomic
def register_worker(
    *,
    name: str,
    host: str,
    pid: int,
    cores: int,
    memory_bytes: int,
    version: str,
    queues: Sequence[str],
    devices: Sequence[Found],
) -> Worker:
    """Announce a worker and what it has; a worker known by that name is taken over.

    Devices that runs of an earlier life still hold stay theirs.
    """
    worker, _ = Worker.objects.update_or_create(
        name=name,
        defaults={
            "host": host,
            "pid": pid,
            "cores": cores,
            "memory_bytes": memory_bytes,
            "version": version,
            "queues": list(queues),
            "is_draining": False,
            "heartbeat": Now(),
        },
    )
    for device in devices:
        Device.objects.update_or_create(
            worker=worker,
            kind=device.kind,
            index=device.index,
            defaults={"name": device.name, "memory_bytes": device.memory_bytes},
        )
    there = {(device.kind, device.index) for device in devices}
    for known in worker.devices.all():
        if (known.kind, known.index) not in there and known.run_id is None:
            known.delete()
    return Worker.objects.get(pk=worker.pk)


def beat_worker(worker_id: int) -> None:
    """Say that a worker is still there."""
    Worker.objects.filter(pk=worker_id).update(heartbeat=Now())


def drain_worker(worker_id: int) -> None:
    """Let a worker take no more work; what it has goes on."""
    Worker.objects.filter(pk=worker_id).update(is_draining=True)


def release_devices(*, run_id: int, fence: int) -> None:
    """Free what one attempt held; devices a newer attempt took are left alone."""
    Device.objects.filter(run_id=run_id, fence=fence).update(run=None)


def release_orphaned_devices() -> int:
    """Free devices whose attempt no longer is the live one of its run."""
    held = Device.objects.filter(run__isnull=False)
    is_live = held.filter(run__state__in=Run.LIVE, run__fence=F("fence"))
    return held.exclude(pk__in=is_live.values("pk")).update(run=None)


def record_peak_flops(*, device_id: int, peak_flops: dict[str, float]) -> None:
    """Keep what a trainer measured."""
    Device.objects.filter(pk=device_id).update(peak_flops=peak_flops)
