"""Evaluations, and every row that models were asked in one."""

from typing import Any

from django.db import models

from trivium.accounts.models import User
from trivium.projects.models import Project
from trivium.runs.models import Run


class Evaluation(models.Model):
    """What an `evaluate` run found; being measured while `facts` is empty."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="evaluations")
    name = models.CharField(max_length=200)
    run = models.OneToOneField(
        Run, models.SET_NULL, null=True, related_name="evaluation"
    )
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    facts: Any = models.JSONField(default=dict, blank=True)
    """As the run's result has it: models, datasets, measures, notes."""

    def __str__(self) -> str:
        return self.name

    @property
    def is_ready(self) -> bool:
        """Whether it was measured."""
        return bool(self.facts)


class EvaluatedRow(models.Model):
    """One row, and what every model made of it."""

    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="rows")
    place = models.PositiveIntegerField()
    """In the order of the run, from 0."""
    dataset = models.PositiveSmallIntegerField()
    """Place of its dataset in the spec."""
    number = models.PositiveBigIntegerField()
    """Of the row in its dataset, over all splits."""
    prompt: Any = models.JSONField()
    expected = models.TextField(blank=True)
    subject = models.CharField(max_length=40, blank=True)
    """What it asks about, by known truth."""
    answers: Any = models.JSONField()
    """`runspec.evaluated.Told` for each model; null for those that write no text."""
    differs = models.BooleanField(default=False)
    """Whether two models answered differently."""
    is_wrong = models.BooleanField(default=False)
    """Whether an answer is wrong, by known truth or by the right answer."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "place"], name="evaluated_row_once"
            )
        ]
