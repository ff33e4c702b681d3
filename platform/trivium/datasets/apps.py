"""The datasets app."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Configuration of the datasets app."""

    name = "trivium.datasets"
