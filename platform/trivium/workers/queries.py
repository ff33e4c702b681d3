"""Reads of workers and devices."""

from datetime import timedelta

from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from runspec import Spec

from trivium.workers.models import Device, Worker

SILENT_AFTER = timedelta(seconds=30)
"""A worker that was not heard of for this long counts as gone."""


def live_workers() -> QuerySet[Worker]:
    """Return the workers that are there and take work."""
    return Worker.objects.filter(heartbeat__gt=Now() - SILENT_AFTER, is_draining=False)


def has_live_gpu() -> bool:
    """Whether a worker with a GPU is there."""
    return Device.objects.filter(
        kind=Device.Kind.GPU, worker__in=live_workers()
    ).exists()


def queue_for(spec: Spec) -> str:
    """Return whose devices a spec asks for: `gpu` or `cpu`.

    `auto` takes a GPU for what wants one, where a worker has one now.
    """
    device = getattr(spec, "device", "cpu")
    if device == "auto":
        return "gpu" if spec.wants_accelerator and has_live_gpu() else "cpu"
    return "gpu" if device == "cuda" else "cpu"


def why_it_waits(queue: str, num_devices: int) -> str:
    """Say why no worker could take a run even if all were free; empty if one could."""
    name = "GPU" if queue == Device.Kind.GPU else "CPU slot"
    sizes = (
        live_workers()
        .filter(devices__kind=queue)
        .annotate(size=Count("devices"))
        .values_list("size", flat=True)
    )
    largest = max(sizes, default=0)
    if not largest:
        return f"no worker with a {name} is there; it starts when one joins"
    if largest < num_devices:
        return (
            f"it takes {num_devices} {name}s of one worker, and the largest worker "
            f"there has {largest}; it starts when a larger one joins"
        )
    return ""
