"""What runs have cost, and budgets, for programs."""

import pytest
from runspec import IngestSpec
from trivium.projects.models import Membership, Role
from trivium.projects.services import create_project
from trivium.runs.models import Attempt
from trivium.runs.services import submit_run


@pytest.fixture
def owned(vera):
    """A project that Vera administers, with two runs of an hour on an H100 each."""
    project = create_project(name="Grammar", created_by=vera.user)
    spec = IngestSpec(source="1", file_name="a.txt")
    for _ in range(2):
        run = submit_run(project=project, created_by=vera.user, spec=spec)
        Attempt.objects.create(run=run, fence=1, device="NVIDIA H100", device_s=3600)
    return project


def test_costs_are_summed_for_a_project_a_person_and_some_runs(vera, owned):
    found = vera.get("/plan/costs", project=owned.slug).json()
    assert found["budget"] is None
    assert found["spent"]["money"] == pytest.approx(6)
    assert found["spent"]["energy_kwh"] == pytest.approx(2 * 0.7 * 1.58)
    assert found["spent"]["measured_kwh"] == 0
    [person] = found["people"]
    assert (person["username"], person["spent"]) == ("vera", found["spent"])
    run = owned.runs.first()
    one = vera.get("/plan/costs", project=owned.slug, run=[run.pk]).json()
    assert one["spent"]["device_hours"] == pytest.approx(1)


def test_runs_of_another_project_are_not_counted(mallory, owned):
    theirs = owned.runs.first().pk
    found = mallory.get("/plan/costs", project="elsewhere", run=[theirs]).json()
    assert found["spent"]["device_hours"] == 0


def test_a_budget_is_set_by_admins_alone(vera, ada, mallory, owned, shape):
    asked = {"project": owned.slug, "amount": 7, "unit": "money"}
    assert shape(mallory.change("PUT", "/plan/budget", asked)) == (404, "not_found")
    Membership.objects.create(project=owned, user=ada.user, role=Role.ENGINEER)
    assert ada.change("PUT", "/plan/budget", asked).status_code == 403
    assert vera.change("PUT", "/plan/budget", asked).json() == {
        "amount": 7.0,
        "unit": "money",
        "is_spent": False,
    }
    assert vera.get("/plan/costs", project=owned.slug).json()["budget"]["amount"] == 7
    assert vera.change("PUT", "/plan/budget", asked | {"amount": 5}).json()["is_spent"]
    gone = f"/plan/budget?project={owned.slug}"
    assert ada.change("DELETE", gone, None).status_code == 403
    assert vera.change("DELETE", gone, None).status_code == 204
    assert vera.get("/plan/costs", project=owned.slug).json()["budget"] is None
    refused = vera.change("PUT", "/plan/budget", asked | {"amount": -1})
    assert shape(refused) == (422, "invalid_request")
    assert refused.json()["error"]["field"] == "amount"


def test_costs_are_told_to_members_alone(mallory, owned, shape):
    refused = mallory.get("/plan/costs", project=owned.slug)
    assert shape(refused) == (404, "not_found")
