"""What a run will cost, for programs."""

import pytest
from django.test import Client
from trivium.planning.models import PlanningDefaults


def test_a_plan_by_hand(vera):
    plan = vera.get(
        "/plan", parameters=1e9, tokens="2e10", number=8, utilisation=0.4,
        price_per_hour=3, power_w=700, pue=1.5, grid_kg_per_kwh=0.4,
    ).json()  # fmt: skip
    assert plan["cost"] == pytest.approx(
        {
            "flops": 1.2e20,
            "petaflop_days": 1.3889,
            "hours": 10.528,
            "device_hours": 84.226,
            "money": 252.68,
            "energy_kwh": 88.437,
            "co2_kg": 35.375,
        },
        rel=1e-4,
    )
    assert plan["currency"] == "USD"
    assert plan["device"]["key"] == "h100"
    assert not plan["is_extrapolated"]


def test_a_budget_is_answered_with_the_best_model(vera):
    plan = vera.get("/plan", budget=1000, device="a100", rule="fitted").json()
    assert plan["cost"]["money"] == pytest.approx(1000)
    flops = 6 * plan["parameters"] * plan["tokens"]
    assert flops == pytest.approx(plan["cost"]["flops"])


def test_a_projects_prices_count_for_its_members_alone(vera, mallory, project, shape):
    PlanningDefaults.objects.create(
        project=project, currency="EUR", price_per_hour={"h100": 1}
    )
    asked = {"parameters": 1e9, "project": "grammar"}
    plan = vera.get("/plan", **asked).json()
    assert plan["currency"] == "EUR"
    assert plan["factors"]["price_per_device_hour"] == 1
    assert shape(mallory.get("/plan", **asked)) == (404, "not_found")
    assert mallory.get("/plan", parameters=1e9).json()["currency"] == "USD"


def test_only_the_signed_in_may_plan(db, shape):
    refused = Client().get("/api/v1/plan", {"parameters": 1e9})
    assert shape(refused) == (401, "authentication_error")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "parameters"),
        ({"parameters": 0}, "parameters"),
        ({"parameters": "nan"}, "parameters"),
        ({"parameters": 1e9, "budget": 5}, "budget"),
        ({"parameters": 1e9, "device": "abacus"}, "device"),
        ({"parameters": 1e9, "device": "cpu", "precision": "bf16"}, "precision"),
        ({"parameters": 1e9, "layers": 12, "width": 768}, "context"),
        ({"parameters": 1e9, "utilisation": 40}, "utilisation"),
        ({"parameters": 1e9, "colour": "red"}, "colour"),
        ({"budget": 5, "price_per_hour": 0}, "price_per_hour"),
    ],
)
def test_a_wrong_question_names_its_field(vera, shape, asked, field):
    refused = vera.get("/plan", **asked)
    assert shape(refused) == (422, "invalid_request")
    assert refused.json()["error"]["field"] == field
