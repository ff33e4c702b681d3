"""Sends metric tables to their own SQLite file; with PostgreSQL all is one database."""

from typing import Any

from django.conf import settings
from django.db.models import Model


class MetricsRouter:
    """Routes the `metrics` app, and nothing else, to `METRICS_DATABASE`."""

    def db_for_read(self, model: type[Model], **_hints: Any) -> str:
        """Name the database to read `model` from."""
        is_metric = model._meta.app_label == "metrics"  # noqa: SLF001
        return settings.METRICS_DATABASE if is_metric else "default"

    db_for_write = db_for_read

    def allow_relation(self, _first: Model, _second: Model, **_hints: Any) -> bool:
        """Relations stay inside one app's database by construction."""
        return True

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool:
        """Create each table in its own database only."""
        home = settings.METRICS_DATABASE if app_label == "metrics" else "default"
        return db == home
