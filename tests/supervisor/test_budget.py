"""A budget and a real worker: it pauses the run in time, and lets it go on."""

import pytest
from supervisor_lab import in_its_middle
from trivium.planning import budgets, spending
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
State = Run.State
A_MOMENT = 1 / 3600
"""Device-hours."""


def test_a_run_pauses_within_the_budget_and_goes_on_when_it_is_raised(
    lab, start_node, project, bob
):
    start_node()
    run = lab.wait(lab.pretrain(), in_its_middle)
    due = budgets.soon(project).device_hours
    assert due > 0
    allowed = spending.spent_by_project(project).device_hours + due + A_MOMENT
    budget = budgets.set_budget(
        project=project, actor=bob, amount=allowed, unit="device_hours"
    )
    assert not budget.is_spent

    lab.wait(run, State.PAUSED)
    assert "of its budget" in run.reason
    assert 0 < run.step < run.total_steps
    spent = spending.spent_by_project(project).device_hours
    assert allowed - due < spent < allowed
    held = lab.pretrain()
    # It would begin with its preflight.
    lab.wait(held, lambda one: one.depends_on.filter(reason=budgets.WAITS).exists())

    budgets.set_budget(project=project, actor=bob, amount=100, unit="device_hours")
    lab.wait(run, State.SUCCEEDED)
    assert run.attempts.order_by("-fence").first().resumed_from > 0
    lab.wait(held, State.SUCCEEDED)
