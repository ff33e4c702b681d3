"""The planner's page: its address is the question, and who may set the prices."""

import re

import pytest
from django.test import Client
from django.utils import timezone
from trivium.accounts.models import User
from trivium.planning.models import PlanningDefaults
from trivium.projects.models import Project
from trivium.workers.models import Device, Worker

PLAN = "/p/grammar/plan/"
FACTORS = "/p/grammar/plan/factors/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def signed_in(client: Client, request: pytest.FixtureRequest, project: Project):
    def sign_in(name: str) -> Client:
        client.force_login(request.getfixturevalue(name))
        return client

    return sign_in


def figures(page: str) -> dict[str, str]:
    found = re.findall(r"<dt>([^<]+)</dt>\s*<dd[^>]*>\s*(≈[^<]+)", page)
    return {name: " ".join(value.split()) for name, value in found}


def factors(page: Client) -> dict[str, object]:
    """Return what the form of prices and factors holds."""
    return page.get(FACTORS).context["form"].initial


@pytest.mark.parametrize("name", ["vera", "lara", "bob", "alice", "root"])
def test_members_plan_and_admins_alone_set_prices(signed_in, name):
    page = signed_in(name)
    assert page.get(PLAN).status_code == 200
    is_admin = name in {"alice", "root"}
    assert page.get(FACTORS).status_code == (200 if is_admin else 403)
    assert (FACTORS in page.get(PLAN).text) == is_admin
    page.post(FACTORS, {"currency": "EUR"})
    assert not PlanningDefaults.objects.exists()


def test_strangers_find_no_planner(signed_in):
    page = signed_in("mallory")
    assert page.get(PLAN).status_code == 404
    assert page.get(FACTORS).status_code == 404
    assert page.post(FACTORS, {"currency": "EUR"}).status_code == 404
    assert Client().get(PLAN).status_code == 302


def test_the_address_is_the_question(signed_in):
    query = {
        "aim": "model", "parameters": "1B", "tokens": "20B", "device": "h100",
        "number": "8", "utilisation_percent": "40", "price_per_hour": "3",
        "power_w": "700", "pue": "1.5", "grid_kg_per_kwh": "0.4",
    }  # fmt: skip
    page = signed_in("vera").get(PLAN, query).text
    # By hand: 1.2e20 FLOPs are 84.23 device-hours at 40 % of 989.4 TFLOP/s.
    assert figures(page) == {
        "Time": "≈ 10 h 31 min",
        "Money": "≈ 253 USD",
        "Energy": "≈ 88.4 kWh",
        "CO₂ equivalent": "≈ 35.4 kg",
    }
    assert "extrapolation" in page
    assert 'value="1B"' in page


def test_a_budget_is_answered_with_a_model(signed_in):
    query = {"aim": "budget", "budget": "1000", "unit": "money", "device": "h100",
             "parameters": "7B", "layers": "3"}  # fmt: skip
    found = figures(signed_in("vera").get(PLAN, query, headers=HTMX).text)
    assert found["Money"] == "≈ 1,000 USD"
    assert found["Best model"] == "≈ 1.99 B"


@pytest.mark.parametrize(
    "wrong",
    [
        {"parameters": ""},
        {"parameters": "many"},
        {"parameters": "1e99"},
        {"device": "abacus"},
        {"number": "0"},
        {"pue": "nan"},
        {"price_per_hour": "-1"},
        {"device": "cpu", "precision": "bf16"},
        {"layers": "12"},
        {"aim": "budget"},
        {"aim": "budget", "budget": "5", "price_per_hour": "0"},
        {"aim": "budget", "budget": "1", "unit": "flops"},
        {"aim": "<script>alert(1)</script>"},
    ],
)
def test_a_wrong_question_says_what_to_change(signed_in, wrong):
    query = {"aim": "model", "parameters": "1B", "device": "h100"} | wrong
    page = signed_in("vera")
    refused = page.get(PLAN, query)
    assert refused.status_code == 422
    assert "There is no answer to this yet." in refused.text
    assert 'class="field__error"' in refused.text or "aim" in wrong
    assert "<script>alert" not in refused.text
    assert page.get(PLAN, query, headers=HTMX).status_code == 200


@pytest.mark.parametrize("parameters", ["1000", "1e15"])
@pytest.mark.parametrize("rule", ["twenty", "fitted"])
def test_the_ends_of_what_may_be_asked_are_answered(signed_in, parameters, rule):
    query = {"aim": "model", "parameters": parameters, "rule": rule, "device": "cpu",
             "utilisation_percent": "0.1"}  # fmt: skip
    page = signed_in("vera").get(PLAN, query)
    assert page.status_code == 200
    assert not re.search(r"\b(nan|inf)\b", page.text)


def test_an_admin_sets_what_every_plan_reckons_with(signed_in):
    page = signed_in("alice")
    sent = factors(page) | {"currency": "eur", "price_h100": "2", "pue": "1.1"}
    assert page.post(FACTORS, sent).status_code == 302
    text = page.get(PLAN).text
    assert "2.00\N{NO-BREAK SPACE}EUR a device-hour" in text
    assert "PUE 1.10" in text
    assert "set on 20" in text
    assert "by alice" in text

    assert page.post(FACTORS, {"reset": "1"}).status_code == 302
    assert "built-in ones of" in page.get(PLAN).text


@pytest.mark.parametrize(
    "wrong",
    [{"currency": "euro"}, {"pue": "0.5"}, {"price_h100": ""}, {"power_cpu": "inf"},
     {"utilisation_percent": "101"}],
)  # fmt: skip
def test_wrong_factors_are_refused(signed_in, wrong):
    page = signed_in("alice")
    assert page.post(FACTORS, factors(page) | wrong).status_code == 422
    assert not PlanningDefaults.objects.exists()


def test_a_cpu_is_reckoned_with_as_a_worker_measured_it(signed_in):
    query = {"aim": "model", "parameters": "1M", "device": "cpu"}
    page = signed_in("vera")
    assert "AVX2" in page.get(PLAN, query).text
    worker = Worker.objects.create(name="desk", host="desk", heartbeat=timezone.now())
    slot = {"kind": "cpu", "name": "CPU", "worker": worker}
    Device.objects.create(index=0, peak_flops={}, **slot)
    Device.objects.create(index=1, peak_flops={"fp32": 5e10}, **slot)
    text = page.get(PLAN, query).text
    assert "50.0 GFLOP/s in fp32 (matrix product measured on desk)" in text


def test_another_projects_prices_are_not_this_ones(
    signed_in, project: Project, mallory: User
):
    other = Project.objects.get(slug="elsewhere")
    PlanningDefaults.objects.create(project=other, currency="XXX")
    assert "XXX" not in signed_in("vera").get(PLAN).text
