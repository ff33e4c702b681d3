"""The page of workers."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from runspec import IngestSpec
from trivium.accounts.models import User
from trivium.datasets.models import Upload
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.workers.models import Device, Worker
from trivium.workers.services import Found, drain_worker, register_worker

HTMX = {"HX-Request": "true"}
URL = reverse("workers:list")


@pytest.fixture
def worker(db: None) -> Worker:
    cpus = [Found(Device.Kind.CPU, index, "2 CPU cores") for index in range(2)]
    return register_worker(
        name="forge",
        host="forge.local",
        pid=1,
        cores=4,
        memory_bytes=8_000_000_000,
        version="1.0",
        queues=["cpu"],
        devices=cpus,
    )


@pytest.fixture
def run(worker: Worker, project: Project, bob: User) -> Run:
    """A run on the first device."""
    upload = Upload.objects.create(project=project, file_name="a.txt", path="uploads/x")
    spec = IngestSpec(source=str(upload.pk), file_name="a.txt")
    made = kinds.start_run(project=project, created_by=bob, spec=spec, name="Secret")
    Device.objects.filter(worker=worker, index=0).update(
        run=made, fence=1, peak_flops={"fp32": 147e9, "bf16": 390e9}
    )
    return made


def test_members_see_what_runs_where(client: Client, vera: User, run: Run):
    client.force_login(vera)
    page = client.get(URL)
    assert "Secret" in page.text
    assert reverse("runs:detail", args=["grammar", run.pk]) in page.text
    assert "390\N{NO-BREAK SPACE}GFLOP/s" in page.text
    assert "1 of 2 devices free" in page.text
    assert "Online" in page.text


def test_strangers_see_that_a_device_is_busy_but_not_with_what(
    client: Client, mallory: User, run: Run
):
    client.force_login(mallory)
    page = client.get(URL).text
    assert "A run of another project" in page
    assert "Secret" not in page
    assert "grammar" not in page


def test_an_admin_of_the_installation_sees_all(client: Client, root: User, run: Run):
    client.force_login(root)
    assert "Secret" in client.get(URL).text


def test_htmx_gets_the_list_alone(client: Client, vera: User, worker: Worker):
    client.force_login(vera)
    page = client.get(URL, headers=HTMX).text
    assert page.split()[:3] == ["<div", 'class="stack"', 'id="workers"']
    assert "forge" in page


@pytest.mark.parametrize(
    ("silence", "word"),
    [(timedelta(seconds=5), "Online"), (timedelta(minutes=2), "Silent")],
)
def test_a_worker_not_heard_of_is_marked(
    client: Client, vera: User, worker: Worker, silence: timedelta, word: str
):
    Worker.objects.update(heartbeat=timezone.now() - silence)
    client.force_login(vera)
    assert word in client.get(URL).text


def test_a_silent_worker_has_no_free_devices(
    client: Client, vera: User, worker: Worker
):
    Worker.objects.update(heartbeat=timezone.now() - timedelta(minutes=2))
    client.force_login(vera)
    assert "0 of 0 devices free" in client.get(URL).text


def test_a_worker_long_gone_is_folded_away(client: Client, vera: User, worker: Worker):
    Worker.objects.update(heartbeat=timezone.now() - timedelta(days=2))
    client.force_login(vera)
    page = client.get(URL)
    assert page.context["overview"].workers == []
    assert "not heard of for more than a day" in page.text


def test_a_draining_worker_is_marked(client: Client, vera: User, worker: Worker):
    drain_worker(worker.pk)
    client.force_login(vera)
    assert "Draining" in client.get(URL).text


def test_no_worker_says_what_to_do(client: Client, vera: User):
    client.force_login(vera)
    assert "No worker is there" in client.get(URL).text


def test_whoever_is_not_signed_in_is_asked_to(client: Client):
    response = client.get(URL)
    assert response.status_code == 302
    assert "login" in response.headers["Location"]


def test_the_page_takes_no_writes(client: Client, vera: User):
    client.force_login(vera)
    assert client.post(URL).status_code == 405
