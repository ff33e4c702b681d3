"""What runs have cost: sums of attempts, priced as the project has it."""

import pytest
from django.test import Client
from runspec import IngestSpec
from trivium.accounts.models import User
from trivium.planning import spending
from trivium.planning.devices import BY_KEY
from trivium.planning.models import PlanningDefaults
from trivium.projects.models import Project
from trivium.runs.models import Attempt, Run
from trivium.runs.services import submit_run

pytestmark = pytest.mark.django_db(databases="__all__")
COSTS = "/p/grammar/plan/costs/"
H100, CPU = "NVIDIA H100 80GB HBM3", spending.CORE
SPEC = IngestSpec(source="1", file_name="text.txt")


def used(
    project: Project,
    by: User,
    device: str = H100,
    device_s: float = 3600,
    energy_j: float | None = None,
) -> Run:
    """Record a run that used a device."""
    run = submit_run(project=project, created_by=by, spec=SPEC, name=f"on {device}")
    Attempt.objects.create(
        run=run, fence=1, device=device, device_s=device_s, energy_j=energy_j
    )
    return run


def test_what_nobody_counted_is_power_times_time(project, alice):
    used(project, alice)
    spent = spending.spent_by_project(project)
    h100 = BY_KEY["h100"]
    assert spent.device_hours == pytest.approx(1)
    assert spent.money == pytest.approx(h100.price_per_hour)
    assert spent.energy_kwh == pytest.approx(0.7 * 1.58)
    assert spent.co2_kg == pytest.approx(0.7 * 1.58 * 0.436)
    assert spent.how == "estimated"


def test_what_was_counted_takes_the_place_of_the_estimate(project, alice):
    used(project, alice, energy_j=1.8e6)
    spent = spending.spent_by_project(project)
    assert spent.energy_kwh == spent.measured_kwh == pytest.approx(0.5 * 1.58)
    assert spent.how == "measured"
    used(project, alice)
    spent = spending.spent_by_project(project)
    assert spent.energy_kwh == pytest.approx((0.5 + 0.7) * 1.58)
    assert spent.how == "42% measured"


def test_a_project_has_prices_of_its_own(project, alice):
    PlanningDefaults.objects.create(
        project=project,
        currency="EUR",
        pue=1.0,
        grid_kg_per_kwh=0.1,
        price_per_hour={"cpu": 2.0},
        power_w={"cpu": 100.0},
    )
    used(project, alice, CPU, device_s=7200)
    spent = spending.spent_by_project(project)
    assert (spent.currency, spent.money) == ("EUR", pytest.approx(4))
    assert spent.energy_kwh == pytest.approx(0.2)
    assert spent.co2_kg == pytest.approx(0.02)


def test_a_device_without_price_is_named_and_its_hours_count(project, alice):
    used(project, alice, "Quantum 9000", energy_j=3.6e6)
    spent = spending.spent_by_project(project)
    assert spent.unknown == ("Quantum 9000",)
    assert (spent.device_hours, spent.money) == (1, 0)
    assert spent.energy_kwh == pytest.approx(1.58)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (CPU, "cpu"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", ""),
    ],
)
def test_devices_are_known_by_the_names_drivers_give(name, key):
    assert spending.key_of(name) == key


def test_sums_are_by_person_and_by_any_runs(project, alice, bob):
    first, second = used(project, alice), used(project, alice, CPU)
    used(project, bob, CPU)
    people = dict(spending.spent_by_person(project))
    assert list(people) == ["alice", "bob"]
    assert people["alice"].device_hours == pytest.approx(2)
    both = spending.spent_by_runs(project, [first.pk, second.pk])
    assert both == people["alice"]
    assert next(iter(spending.dearest_runs(project)))[0] == first


def test_members_see_the_costs_and_strangers_do_not(
    client: Client, project, alice, vera, mallory
):
    run = used(project, alice)
    client.force_login(vera)
    page = client.get(COSTS).text
    assert "3.00" in page
    assert run.name in page
    assert "estimated" in client.get(f"/p/grammar/runs/{run.pk}/").text
    client.force_login(mallory)
    assert client.get(COSTS).status_code == 404


def test_an_empty_project_has_cost_nothing(client: Client, project, alice):
    client.force_login(alice)
    assert "No run has used a device yet." in client.get(COSTS).text
