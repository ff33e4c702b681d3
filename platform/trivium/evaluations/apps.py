"""The app."""

from django.apps import AppConfig


class EvaluationsConfig(AppConfig):
    """What came of training."""

    name = "trivium.evaluations"
