"""The sweeper finds what dead processes left behind."""

from datetime import timedelta

import pytest
from django.utils import timezone
from trivium.runs.claims import claim_run
from trivium.runs.models import Attempt, Outbox, Run
from trivium.runs.sweeping import MAX_LOST_IN_A_ROW, sweep
from trivium.workers.models import Device

State = Run.State


def lapse() -> None:
    Run.objects.filter(state__in=Run.LIVE).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )


def test_a_lapsed_lease_puts_the_run_back_without_spending_its_budget(claim):
    lapse()
    sweep()
    run = Run.objects.get()
    assert (run.state, run.crashes, run.lease_until) == (State.QUEUED, 0, None)
    assert Attempt.objects.get().outcome == Attempt.Outcome.LOST
    assert Device.objects.get().run is None


def test_a_live_lease_is_left_alone(claim):
    sweep()
    assert Run.objects.get().state == State.RUNNING


@pytest.mark.parametrize(
    ("wish", "state"), [("cancel", State.CANCELLED), ("pause", State.PAUSED)]
)
def test_a_wish_outlives_the_supervisor(claim, wish, state):
    Run.objects.update(desired_state=wish)
    lapse()
    sweep()
    assert Run.objects.get().state == state


def test_a_run_that_kills_its_hosts_is_ended(submit, worker):
    submit()
    for _ in range(MAX_LOST_IN_A_ROW):
        assert claim_run(worker=worker) is not None
        lapse()
        sweep()
    run = Run.objects.get()
    assert run.state == State.FAILED
    assert "5 times in a row" in run.reason


def test_two_sweeps_are_one(claim):
    lapse()
    sweep()
    sweep()
    assert Run.objects.get().transitions.count() == 3


def test_a_device_of_a_finished_run_is_freed(claim):
    Run.objects.update(state=State.FAILED)
    sweep()
    assert Device.objects.get().run is None


def test_a_waiting_run_is_queued_when_its_inputs_are_made(submit):
    first, second = submit(), submit()
    second.depends_on.add(first)
    Run.objects.filter(pk=second.pk).update(state=State.WAITING)
    sweep()
    second.refresh_from_db()
    assert second.state == State.WAITING
    Run.objects.filter(pk=first.pk).update(state=State.SUCCEEDED)
    sweep()
    second.refresh_from_db()
    assert second.state == State.QUEUED


def test_a_waiting_run_says_what_holds_it(submit):
    first, second = submit(), submit()
    second.depends_on.add(first)
    Run.objects.filter(pk=second.pk).update(state=State.WAITING)
    Run.objects.filter(pk=first.pk).update(state=State.FAILED)
    sweep()
    second.refresh_from_db()
    assert second.state == State.WAITING
    assert first.name in second.reason


def test_an_unheard_bell_is_rung_again(submit, settings):
    submit()
    assert Outbox.objects.get().rung is None
    sweep()
    assert Outbox.objects.get().rung is not None
    if not settings.REDIS_URL:
        assert list(settings.BELL_DIR.glob("*.cpu.msg"))
