"""Tokenizers."""

from django.db import models

from trivium.accounts.models import User
from trivium.datasets.models import DatasetVersion
from trivium.projects.models import Project
from trivium.runs.models import Run


class Tokenizer(models.Model):
    """Trained by a run; being prepared while `path` is empty."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="tokenizers")
    name = models.CharField(max_length=200)
    run = models.OneToOneField(
        Run, models.SET_NULL, null=True, related_name="tokenizer"
    )
    dataset = models.ForeignKey(
        DatasetVersion, models.SET_NULL, null=True, related_name="tokenizers"
    )
    algorithm = models.CharField(max_length=20)
    path = models.CharField(max_length=500, blank=True)
    """Key in storage."""
    sha256 = models.CharField(max_length=64, blank=True)
    vocabulary_size = models.PositiveIntegerField(default=0)
    report = models.JSONField(default=dict)
    """`runspec.layout.TokenizerReport`."""
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="tokenizer_name_once_per_project"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_ready(self) -> bool:
        """Whether it can be used."""
        return bool(self.path)
