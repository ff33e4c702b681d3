"""PostgreSQL cuts every connection, as a restart does; nothing is lost."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from supervisor_lab import TINY
from trivium.metrics.queries import read_curve
from trivium.runs.models import Run
from trivium.runs.sweeping import mend_pool

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


@pytest.fixture
def pooled(request) -> Iterator[Any]:
    """A connection to the database of the test, out of a pool as web processes have."""
    if connection.vendor != "postgresql":
        pytest.skip("the database of this test run is not PostgreSQL")
    request.getfixturevalue("transactional_db")
    pooled = connection.copy("pooled")
    pooled.settings_dict["OPTIONS"] = {
        "pool": {"min_size": 6, "max_size": 6, "timeout": 4}
    }
    pooled.ensure_connection()
    pooled.close()
    pooled.pool.wait(timeout=30)
    yield pooled
    pooled.close()
    pooled.close_pool()


def ask(database: Any) -> None:
    """Ask once, as one request would: a connection is taken and given back."""
    try:
        with database.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        database.close()


def test_after_a_restart_the_next_request_finds_a_living_connection(pooled):
    assert cut_connections() == 6
    mend_pool(pooled)
    for _ in range(12):
        ask(pooled)
    assert pooled.pool.get_stats()["connections_lost"] == 6


def test_without_mending_requests_would_wait_for_dead_connections(pooled):
    assert cut_connections() == 6
    with pytest.raises(OperationalError, match="couldn't get a connection"):
        ask(pooled)


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
