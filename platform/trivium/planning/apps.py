"""The planning app."""

from django.apps import AppConfig


class PlanningConfig(AppConfig):
    """Configuration of the planning app."""

    name = "trivium.planning"
