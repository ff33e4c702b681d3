"""Reads of workers and devices."""

from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from trivium.workers.models import Device, Worker

SILENT_AFTER = timedelta(seconds=30)
"""A worker that was not heard of for this long counts as gone."""


def live_workers() -> QuerySet[Worker]:
    """Return the workers that are there and take work."""
    return Worker.objects.filter(
        heartbeat__gt=Now() - SILENT_AFTER, is_draining=False
    )


def has_live_gpu() -> bool:
    """Whether a worker with a GPU is there."""
    return Device.objects.filter(
        kind=Device.Kind.GPU, worker__in=live_workers()
    ).exists()
