"""Pipelines and their steps. What happens in a step is told by its run or campaign."""

from typing import Any

from django.db import models

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign
from trivium.projects.models import Project
from trivium.runs.models import Run

CAMPAIGN = "campaign"
"""The kind of a step that is no run: people vote in it."""


class Pipeline(models.Model):
    """Steps that depend on each other. Its state is read off theirs."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="pipelines")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    name = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    """The description as it was given; what holds now is in the steps."""
    previous = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="following"
    )
    """The pipeline whose round this one follows."""
    round = models.PositiveIntegerField(default=1)
    """Of the preference loop; 1 for a pipeline that follows none."""
    created = models.DateTimeField(auto_now_add=True)
    cancelled = models.DateTimeField(null=True, blank=True)
    """Since when no further step is started."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="pipeline_name_once_per_project"
            )
        ]
        indexes = [models.Index(fields=["project", "-id"], name="pipeline_list")]

    def __str__(self) -> str:
        return self.name


class Step(models.Model):
    """One run, or one campaign with the export of its votes."""

    pipeline = models.ForeignKey(Pipeline, models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    """None comes before a step it takes something from."""
    name = models.CharField(max_length=40)
    kind = models.CharField(max_length=12)
    settings: Any = models.JSONField(default=dict)
    """Fields of the spec; a reference is an id, or `{"from": STEP}`."""
    needs: Any = models.JSONField(default=list)
    """Names of steps it waits for, beside those it takes something from."""
    output = models.CharField(max_length=200, blank=True)
    """What names the object it makes; empty: the pipeline and the step do."""
    run = models.OneToOneField(
        Run, models.SET_NULL, null=True, blank=True, related_name="pipeline_step"
    )
    """The newest run of the step; of a campaign, the export of its votes."""
    campaign = models.OneToOneField(
        Campaign, models.SET_NULL, null=True, blank=True, related_name="pipeline_step"
    )
    is_started = models.BooleanField(default=False)
    """Whether its run or campaign was made; it stays so should that be deleted."""
    refusal = models.TextField(blank=True)
    """One sentence: why it could not be started. It then waits for a person."""

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["pipeline", "name"], name="step_name_once_per_pipeline"
            )
        ]

    def __str__(self) -> str:
        return self.name
