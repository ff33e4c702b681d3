"""A newcomer's way through the platform on PostgreSQL and Redis."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection
from journey import walk
from local_up import Up

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """The platform on a database of its own."""
    if connection.vendor != "postgresql" or not django_settings.REDIS_URL:
        pytest.skip("this test run is not on PostgreSQL and Redis")
    values = connection.settings_dict
    server = f"{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}"
    name = f"trivium_journey_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"postgresql://{server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        platform = Up(
            tmp_path,
            DATABASE_URL=f"postgresql://{server}/{name}",
            REDIS_URL=django_settings.REDIS_URL,
        )
        try:
            yield platform
            platform.end()
            assert not (tmp_path / "trivium" / "trivium.sqlite3").exists()
        finally:
            platform.end()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_newcomers_way_on_postgresql_and_redis(up, new_page, shared_dir, tmp_path):
    book = shared_dir / "data/pretrain/gutenberg/moby_dick.txt.gz"
    walk(up, new_page, book, tmp_path)
