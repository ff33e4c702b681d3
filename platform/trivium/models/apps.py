"""The models app."""

from django.apps import AppConfig


class ModelsConfig(AppConfig):
    """Configuration of the models app."""

    name = "trivium.models"
