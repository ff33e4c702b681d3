"""The queue in one line."""

from typing import NamedTuple

from django.db.models import Count, Q

from trivium.runs.models import Run
from trivium.runs.queries import hide_preflights
from trivium.workers.models import Device
from trivium.workers.queries import live_workers


class QueueLine(NamedTuple):
    """A project's runs at work and in wait, and the devices of the installation."""

    num_running: int
    num_queued: int
    num_devices: int
    num_free: int


def queue_line(slug: str) -> QueueLine:
    """Count what the top bar of a project says."""
    shown = hide_preflights(Run.objects.filter(project__slug=slug))
    runs = shown.aggregate(
        running=Count("pk", filter=Q(state__in=Run.LIVE)),
        queued=Count("pk", filter=Q(state__in=[Run.State.QUEUED, Run.State.WAITING])),
    )
    devices = Device.objects.filter(worker__in=live_workers()).aggregate(
        all=Count("pk"), free=Count("pk", filter=Q(run__isnull=True))
    )
    return QueueLine(runs["running"], runs["queued"], devices["all"], devices["free"])
