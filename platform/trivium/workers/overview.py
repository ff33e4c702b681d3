"""The workers as a page shows them: who is there, and what runs where."""

from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone

from trivium.accounts.models import User
from trivium.runs.models import Run
from trivium.runs.queries import runs_visible_to
from trivium.workers.models import Device, Worker
from trivium.workers.queries import SILENT_AFTER

FORGOTTEN_AFTER = timedelta(days=1)
"""A worker silent for this long is folded away."""


class DeviceView(NamedTuple):
    """A device and the run on it, where the reader may see that run."""

    device: Device
    run: Run | None
    is_busy: bool
    peaks: list[tuple[str, float]]
    """(precision, measured FLOP/s), fastest last."""


class WorkerView(NamedTuple):
    """A worker, its state in one word, and its devices."""

    worker: Worker
    state: str
    label: str
    devices: list[DeviceView]


class Overview(NamedTuple):
    """All workers; those long gone apart."""

    workers: list[WorkerView]
    forgotten: list[WorkerView]
    num_devices: int
    num_free: int


def overview(user: User) -> Overview:
    """Return every worker; runs are named only where `user` may see them."""
    workers = list(Worker.objects.prefetch_related("devices").order_by("name"))
    held = [
        device.run_id
        for worker in workers
        for device in worker.devices.all()
        if device.run_id is not None
    ]
    visible = runs_visible_to(user).select_related("project").in_bulk(held)
    views = [_view(worker, visible) for worker in workers]
    views.sort(key=lambda view: view.state == "lost")
    long_ago = timezone.now() - FORGOTTEN_AFTER
    forgotten = [view for view in views if view.worker.heartbeat < long_ago]
    there = [view for view in views if view.worker.heartbeat >= long_ago]
    taking = [
        device for view in there if view.state == "online" for device in view.devices
    ]
    num_free = sum(not device.is_busy for device in taking)
    return Overview(there, forgotten, len(taking), num_free)


def _view(worker: Worker, visible: dict[int, Run]) -> WorkerView:
    is_silent = worker.heartbeat < timezone.now() - SILENT_AFTER
    state, label = "online", "Online"
    if is_silent:
        state, label = "lost", "Silent"
    elif worker.is_draining:
        state, label = "paused", "Draining"
    devices = [
        DeviceView(
            device=device,
            run=visible.get(device.run_id) if device.run_id is not None else None,
            is_busy=device.run_id is not None,
            peaks=sorted(device.peak_flops.items(), key=lambda item: item[1]),
        )
        for device in worker.devices.all()
    ]
    return WorkerView(worker, state, label, devices)
