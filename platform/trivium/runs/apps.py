"""The runs app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Configuration of the runs app."""

    name = "trivium.runs"
