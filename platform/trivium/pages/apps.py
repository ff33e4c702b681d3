"""The pages app."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """Configuration of the pages app."""

    name = "trivium.pages"
