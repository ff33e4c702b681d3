"""The metrics app."""

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """Configuration of the metrics app."""

    name = "trivium.metrics"
