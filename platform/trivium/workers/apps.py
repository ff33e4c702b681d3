"""The workers app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Configuration of the workers app."""

    name = "trivium.workers"
