"""`trivium costs` and `trivium budget`: the figures of the page of costs."""

import pytest
from runspec import IngestSpec
from trivium.planning.budgets import set_budget
from trivium.planning.models import Budget
from trivium.runs.models import Attempt, Run
from trivium.runs.services import submit_run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def held(project, ada) -> list[Run]:
    """Two runs, of one and of three hours on an H100."""
    runs = []
    for hours in (1, 3):
        spec = IngestSpec(source="1", file_name="a.txt")
        run = submit_run(project=project, created_by=ada, spec=spec)
        Attempt.objects.create(
            run=run, fence=1, device="NVIDIA H100", device_s=3600 * hours
        )
        runs.append(run)
    return runs


def cells(text: str, first: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(first)]
    return line.split()


def test_costs_are_told_by_person_and_in_all(trivium, held):
    answer = trivium("costs")
    assert answer.code == 0
    assert "USD" in answer.out
    energy = f"{4 * 0.7 * 1.58:.3g}"
    assert cells(answer.out, "ada")[:5] == ["ada", "4", "12", energy, "0"]
    assert cells(answer.out, "all")[1:] == cells(answer.out, "ada")[1:]
    assert "budget" not in answer.out


def test_costs_of_one_run_are_told(trivium, held):
    answer = trivium("costs", "--run", str(held[0].pk))
    assert cells(answer.out, "all")[:3] == ["all", "1", "3"]
    assert "ada" not in answer.out
    both = trivium("costs", "--json", *(f"--run={run.pk}" for run in held)).json
    assert both["spent"]["device_hours"] == pytest.approx(4)


def test_a_spent_budget_is_told(trivium, held, project, ada):
    set_budget(project=project, actor=ada, amount=100, unit="money")
    assert trivium("costs").out.endswith("the budget is 100 USD\n")
    set_budget(project=project, actor=ada, amount=2, unit="device_hours")
    told = trivium("costs").out
    assert "the budget is 2 device-hours, and is spent: no run starts" in told


def test_a_strangers_project_has_no_costs_to_tell(trivium, held):
    assert trivium("costs", "--project", "nowhere").code != 0


def test_a_budget_is_set_shown_and_removed(trivium, held, project):
    assert "there is no budget" in trivium("budget").out
    assert trivium("budget", "100").out == "the budget is 100 USD\n"
    spent = trivium("budget", "2", "--unit", "device_hours").out
    assert spent == "the budget is 2 device-hours, and is spent: no run starts\n"
    kept = {"amount": 2.0, "unit": "device_hours", "is_spent": True}
    assert trivium("budget", "--json").json == kept
    assert "there is no budget" in trivium("budget", "--remove").out
    assert not Budget.objects.exists()


def test_what_is_no_budget_is_refused(trivium, held, project):
    assert trivium("budget", "5", "--remove").code == 2
    refused = trivium("budget", "-1")
    assert refused.code == 2
    assert not Budget.objects.exists()
