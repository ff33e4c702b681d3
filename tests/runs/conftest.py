"""A queued run, workers with devices, and claims on them."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from runspec import IngestSpec
from trivium.accounts.models import User
from trivium.datasets.models import Upload
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.claims import Claim, claim_run
from trivium.runs.models import Run
from trivium.workers.models import Device, Worker


@pytest.fixture
def submit(project: Project, bob: User) -> Callable[..., Run]:
    """Queue an ingest run; the spec matters to nobody here."""

    def run(*, by: User = bob, priority: int = 0) -> Run:
        upload = Upload.objects.create(
            project=project, created_by=by, file_name="text.txt", path="uploads/x"
        )
        spec = IngestSpec(source=str(upload.pk), file_name="text.txt")
        return kinds.start_run(
            project=project, created_by=by, spec=spec, priority=priority
        )

    return run


@pytest.fixture
def make_worker(db: None) -> Callable[..., Worker]:
    """Register a worker with some CPU slots."""

    def worker(name: str = "w1", slots: int = 1) -> Worker:
        made = Worker.objects.create(
            name=name, host=name, queues=["cpu"], heartbeat=timezone.now()
        )
        for index in range(slots):
            Device.objects.create(
                worker=made, kind=Device.Kind.CPU, index=index, name="1 CPU core"
            )
        return made

    return worker


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    return make_worker()


@pytest.fixture
def claim(submit: Callable[..., Run], worker: Worker) -> Claim:
    """The right of a first attempt, newly taken."""
    submit()
    taken = claim_run(worker=worker)
    assert taken is not None
    return taken
