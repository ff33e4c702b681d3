"""The serving app."""

from django.apps import AppConfig


class ServingConfig(AppConfig):
    """Configuration of the serving app."""

    name = "trivium.serving"
