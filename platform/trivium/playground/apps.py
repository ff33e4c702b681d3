"""The playground app."""

from django.apps import AppConfig


class PlaygroundConfig(AppConfig):
    """Configuration of the playground app."""

    name = "trivium.playground"
