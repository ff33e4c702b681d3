"""A budget pauses runs before it is exceeded; raising it lets them go on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from runspec import PretrainSpec
from trivium.planning import budgets, spending
from trivium.planning.models import Budget
from trivium.projects.models import Project
from trivium.runs import attempts
from trivium.runs.attempts import Used
from trivium.runs.claims import Claim, claim_run
from trivium.runs.models import Run
from trivium.runs.services import resume_run, submit_run
from trivium.runs.sweeping import sweep
from trivium.workers.models import Device, Worker

pytestmark = pytest.mark.django_db(databases="__all__")
State = Run.State
SPEC = PretrainSpec(dataset="1", tokenizer="1")
COSTS, BUDGET = "/p/grammar/plan/costs/", "/p/grammar/plan/budget/"
CORES = 2


@pytest.fixture
def worker(db: None) -> Worker:
    made = Worker.objects.create(
        name="w1", host="w1", queues=["cpu"], heartbeat=timezone.now()
    )
    for index in range(2):
        Device.objects.create(worker=made, kind="cpu", index=index, name="2 CPU cores")
    return made


@pytest.fixture
def start(project: Project, alice: Any, worker: Worker) -> Callable[..., Claim | None]:
    """Queue a run, let the worker claim it, and say what it used."""

    def run(hours: float = 0.0, **given: Any) -> Claim | None:
        values = {"project": project, "created_by": alice, "spec": SPEC} | given
        submit_run(**values)
        taken = claim_run(worker=worker)
        if taken is not None:
            use(taken, hours)
        return taken

    return run


def use(claim: Claim, hours: float) -> None:
    said = Used(spending.CORE, CORES, 3600 * hours * CORES, None, "")
    assert attempts.record_use(claim, said)


def run_of(claim: Claim) -> Run:
    return Run.objects.get(pk=claim.run_id)


def margin() -> float:
    """Return the device-hours one run uses until a pause takes hold."""
    return CORES * budgets.horizon_s() / 3600


def test_a_run_is_paused_before_the_budget_is_exceeded(project, alice, start):
    budgets.set_budget(project=project, actor=alice, amount=10, unit="device_hours")
    claim = start(hours=(10 - 1.5 * margin()) / CORES)
    sweep()
    assert run_of(claim).state == State.RUNNING
    use(claim, (10 - 0.9 * margin()) / CORES)
    sweep()
    run = run_of(claim)
    assert (run.state, run.desired_state) == (State.PAUSING, "pause")
    assert "of its budget of 10.0 device-hours" in run.reason
    assert spending.spent_by_project(project).device_hours < 10
    # Its supervisor lets the trainer save, and the reason stays.
    assert attempts.end_stopped(claim, target=State.PAUSED)
    assert run_of(claim).reason == run.reason
    assert run.transitions.order_by("-pk")[1].actor == "budget"


def test_a_supervisor_that_dies_while_pausing_leaves_the_reason(project, alice, start):
    budgets.set_budget(project=project, actor=alice, amount=10, unit="device_hours")
    claim = start(hours=5)
    sweep()
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    sweep()
    run = run_of(claim)
    assert run.state == State.PAUSED
    assert "budget" in run.reason


def test_nothing_starts_on_a_spent_budget_until_it_is_raised(
    project, alice, start, worker
):
    budgets.set_budget(project=project, actor=alice, amount=10, unit="device_hours")
    held = start(hours=5)
    sweep()
    attempts.end_stopped(held, target=State.PAUSED)
    assert start() is None
    sweep()
    queued = Run.objects.latest("pk")
    assert (queued.state, queued.reason) == (State.QUEUED, budgets.WAITS)
    # Not even what a person resumes by hand.
    budgets.set_budget(project=project, actor=alice, amount=9, unit="device_hours")
    assert claim_run(worker=worker) is None
    budgets.set_budget(project=project, actor=alice, amount=20, unit="device_hours")
    run = run_of(held)
    assert (run.state, run.is_held_by_budget) == (State.QUEUED, False)
    queued.refresh_from_db()
    assert queued.reason == ""
    assert claim_run(worker=worker) is not None
    assert claim_run(worker=worker) is not None


def test_a_run_paused_by_a_person_stays_paused(project, alice, start):
    claim = start(hours=1)
    attempts.end_stopped(claim, target=State.PAUSED)
    budgets.set_budget(project=project, actor=alice, amount=50, unit="device_hours")
    budgets.remove_budget(project=project, actor=alice)
    assert run_of(claim).state == State.PAUSED


def test_a_resumed_run_is_no_longer_held(project, alice, start, worker):
    budgets.set_budget(project=project, actor=alice, amount=10, unit="device_hours")
    claim = start(hours=5)
    sweep()
    attempts.end_stopped(claim, target=State.PAUSED)
    resume_run(run_of(claim), alice)
    assert not run_of(claim).is_held_by_budget
    assert claim_run(worker=worker) is None


def test_other_projects_go_on(project, alice, start):
    other = Project.objects.create(name="Logic", slug="logic")
    budgets.set_budget(project=project, actor=alice, amount=10, unit="device_hours")
    start(hours=50)
    sweep()
    claim = start(project=other)
    assert claim is not None
    sweep()
    assert run_of(claim).state == State.RUNNING


@pytest.mark.parametrize(
    ("unit", "words"),
    [("money", "USD"), ("kwh", "Wh"), ("device_hours", "device-hours")],
)
def test_each_unit_counts(project, alice, start, unit, words):
    claim = start(hours=100)
    spent = budgets.counted(spending.spent_by_project(project), unit)
    budgets.set_budget(project=project, actor=alice, amount=2 * spent, unit=unit)
    sweep()
    assert run_of(claim).state == State.RUNNING
    budgets.set_budget(project=project, actor=alice, amount=spent * 1.000001, unit=unit)
    sweep()
    assert words in run_of(claim).reason


def test_what_cannot_be_resumed_runs_to_its_end(project, alice, start):
    from runspec import IngestSpec

    spec = IngestSpec(source="1", file_name="a.txt")
    claim = start(hours=50, spec=spec)
    budgets.set_budget(project=project, actor=alice, amount=10, unit="device_hours")
    sweep()
    assert run_of(claim).state == State.RUNNING


def test_admins_alone_set_a_budget(client: Client, project, alice, bob, mallory):
    asked = {"amount": "2.5k", "unit": "money"}
    client.force_login(bob)
    assert client.post(BUDGET, asked).status_code == 403
    assert "Save budget" not in client.get(COSTS).text
    client.force_login(mallory)
    assert client.post(BUDGET, asked).status_code == 404
    assert not Budget.objects.exists()
    client.force_login(alice)
    page = client.post(BUDGET, asked, follow=True).text
    assert "The budget was saved." in page
    assert "0.00" in page
    assert Budget.objects.get().amount == 2500
    page = client.post(BUDGET, {"amount": "much", "unit": "money"})
    assert page.status_code == 422
    assert "is no number" in page.text
    client.post(BUDGET, {"remove": "1"})
    assert not Budget.objects.exists()


def test_a_budget_below_what_is_spent_says_so(client: Client, project, alice, start):
    start(hours=50)
    client.force_login(alice)
    asked = {"amount": "1", "unit": "device_hours"}
    page = client.post(BUDGET, asked, follow=True).text
    assert "More is spent already: no run starts." in page


def test_a_waiting_run_shows_why_on_its_page(client: Client, project, alice, start):
    budgets.set_budget(project=project, actor=alice, amount=10, unit="device_hours")
    start(hours=50)
    sweep()
    start()
    sweep()
    client.force_login(alice)
    page = client.get(f"/p/grammar/runs/{Run.objects.latest('pk').pk}/")
    assert "the project&#x27;s budget is spent" in page.text
