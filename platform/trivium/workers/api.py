"""`/api/v1/workers`."""

from datetime import datetime
from typing import Any

from ninja import Router, Schema
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.runs.queries import runs_visible_to
from trivium.workers.models import Worker

router = Router()


class DeviceOut(Schema):
    """A GPU, or a slot of CPU cores."""

    kind: str
    index: int
    name: str
    memory_bytes: int
    peak_flops: dict[str, float] = Field(
        description="Measured matrix-product FLOP/s by precision."
    )
    is_busy: bool
    run: int | None = Field(description="The run on it, where you may see that run.")


class WorkerOut(Schema):
    """One worker."""

    id: int
    name: str
    host: str
    queues: list[str]
    cores: int
    memory_bytes: int
    version: str
    is_draining: bool
    started: datetime
    heartbeat: datetime
    devices: list[DeviceOut]


class WorkerPage(PageOf):
    """Workers, newest first."""

    items: list[WorkerOut]


def describe(request: ApiRequest, workers: list[Worker]) -> list[dict[str, Any]]:
    """Describe workers; which run a device carries is told only to its members."""
    busy = [
        device.run_id
        for worker in workers
        for device in worker.devices.all()
        if device.run_id
    ]
    visible = set(
        runs_visible_to(request.user).filter(pk__in=busy).values_list("pk", flat=True)
    )
    fields = [name for name in WorkerOut.model_fields if name != "devices"]
    return [
        {name: getattr(worker, name) for name in fields}
        | {
            "devices": [
                {
                    "kind": device.kind,
                    "index": device.index,
                    "name": device.name,
                    "memory_bytes": device.memory_bytes,
                    "peak_flops": device.peak_flops,
                    "is_busy": device.run_id is not None,
                    "run": device.run_id if device.run_id in visible else None,
                }
                for device in worker.devices.all()
            ]
        }
        for worker in workers
    ]


@router.get("", response=WorkerPage, summary="List workers")
def list_workers(request: ApiRequest, cursor: Cursor, limit: Limit) -> Page:
    """List the workers and their devices."""
    rows = Worker.objects.prefetch_related("devices")
    found = page(rows, cursor=cursor, limit=limit)
    return Page(describe(request, list(found.items)), found.next_cursor)


@router.get("/{int:worker_id}", response=WorkerOut, summary="Get a worker")
def get_worker(request: ApiRequest, worker_id: int) -> dict[str, Any]:
    """Get one worker."""
    worker = find(Worker.objects.prefetch_related("devices"), worker_id)
    return describe(request, [worker])[0]
