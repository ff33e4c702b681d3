"""The comparisons app."""

from django.apps import AppConfig


class ComparisonsConfig(AppConfig):
    """Configuration of the comparisons app."""

    name = "trivium.comparisons"
