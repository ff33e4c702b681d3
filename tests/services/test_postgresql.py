"""PostgreSQL cuts every connection, as a restart does; nothing is lost."""

import httpx
import pytest
from django.db import connection
from django.test import Client
from supervisor_lab import TINY
from trivium.metrics.queries import read_curve
from trivium.runs.models import Run

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


def cut_connections() -> int:
    """End every connection to the database of the test but this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_a_web_process_goes_on_with_new_connections(asgi_url, lab):
    if connection.vendor != "postgresql":
        pytest.skip("the database of this test run is not PostgreSQL")
    person = Client()
    person.force_login(lab.user)
    cookies = {"sessionid": person.cookies["sessionid"].value}
    with httpx.Client(base_url=asgi_url, cookies=cookies, trust_env=False) as web:
        page = f"/p/{lab.project.slug}/runs/"
        assert web.get(page).status_code == 200
        assert cut_connections() >= 1, "its thread kept no connection"
        assert web.get(page).status_code == 200


def test_cut_connections_do_not_stop_a_run(lab, start_node):
    if connection.vendor != "postgresql":
        pytest.skip("the database of this test run is not PostgreSQL")
    start_node()
    run = lab.pretrain()
    lab.wait(run, lambda run: run.checkpoints.exists())
    assert cut_connections() >= 2
    lab.wait(run, Run.State.SUCCEEDED)
    assert run.attempts.count() == 1
    steps = read_curve(run.pk, "train/loss", max_points=10_000).steps.tolist()
    assert steps == list(range(1, TINY["max_steps"] + 1))
