"""Reads of workers and devices."""

from datetime import timedelta

from django.db.models import QuerySet
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
