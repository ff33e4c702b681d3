"""Which runs no worker could ever take, and how a page says so."""

import pytest
from django.test import Client
from django.urls import reverse
from runspec import IngestSpec
from trivium.accounts.models import User
from trivium.datasets.models import Upload
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.workers.models import Device
from trivium.workers.queries import why_it_waits
from trivium.workers.services import Found, drain_worker, register_worker


@pytest.fixture
def worker(db: None):
    return register_worker(
        name="forge",
        host="forge.local",
        pid=1,
        cores=4,
        memory_bytes=8_000_000_000,
        version="1.0",
        queues=["cpu"],
        devices=[Found(Device.Kind.CPU, index, "2 CPU cores") for index in range(2)],
    )


def test_what_fits_a_worker_needs_no_explanation(worker):
    assert why_it_waits("cpu", 2) == ""


def test_too_many_devices_are_named(worker):
    assert "takes 3 CPU slots" in why_it_waits("cpu", 3)
    assert "has 2" in why_it_waits("cpu", 3)


def test_a_queue_nobody_serves_is_named(worker):
    assert "no worker with a GPU" in why_it_waits("gpu", 1)
    drain_worker(worker.pk)
    assert "no worker with a CPU slot" in why_it_waits("cpu", 1)


@pytest.mark.django_db(databases="__all__")
def test_the_run_page_says_it(client: Client, vera: User, bob: User, worker, project):
    upload = Upload.objects.create(project=project, file_name="a.txt", path="uploads/x")
    spec = IngestSpec(source=str(upload.pk), file_name="a.txt")
    run = kinds.start_run(project=project, created_by=bob, spec=spec)
    Run.objects.filter(pk=run.pk).update(num_devices=5)
    client.force_login(vera)
    url = reverse("runs:detail", args=[project.slug, run.pk])
    assert "takes 5 CPU slots" in client.get(url).content.decode()
