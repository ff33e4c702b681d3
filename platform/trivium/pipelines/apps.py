"""The pipelines app."""

from django.apps import AppConfig


class PipelinesConfig(AppConfig):
    """Configuration of the pipelines app."""

    name = "trivium.pipelines"
