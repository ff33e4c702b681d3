"""Datasets and their versions."""

from django.db import models

from trivium.accounts.models import User
from trivium.projects.models import Project
from trivium.runs.models import Run


class Dataset(models.Model):
    """A name under which versions of one table are kept."""

    class Kind(models.TextChoices):
        TEXT = "text", "Text"
        INSTRUCTIONS = "instructions", "Instructions"
        CONVERSATIONS = "conversations", "Conversations"
        TEXT_TO_TEXT = "text-to-text", "Text to text"
        LABELLED = "labelled", "Labelled texts"
        PREFERENCES = "preferences", "Preferences"
        PROMPTS = "prompts", "Prompts"

    project = models.ForeignKey(Project, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.TEXT)
    description = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="dataset_name_once_per_project"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """An immutable table of rows. Made empty with its ingest run, filled when it ends.

    While `path` is empty it is being prepared (or its run failed); runs that use it
    wait. This is what the `dataset` reference of a spec points at.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    run = models.OneToOneField(
        Run, models.SET_NULL, null=True, related_name="dataset_version"
    )
    source_name = models.CharField(max_length=255)
    path = models.CharField(max_length=500, blank=True)
    """Key in storage."""
    content_sha256 = models.CharField(max_length=64, blank=True)
    card = models.JSONField(default=dict)
    """`runspec.layout.DatasetCard`."""
    rows = models.PositiveBigIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "number"], name="version_number_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    @property
    def is_ready(self) -> bool:
        """Whether rows are there."""
        return bool(self.path)


class Upload(models.Model):
    """A file a person sent, or a path or URL they named, until it is ingested.

    This is what the `source` reference of an ingest spec points at.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="uploads")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    file_name = models.CharField(max_length=255)
    """As the person's machine called it; never used as a path."""
    path = models.CharField(max_length=500)
    """Key in storage; or, where `is_external`, an allowed path or URL."""
    is_external = models.BooleanField(default=False)
    size_bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    created = models.DateTimeField(auto_now_add=True)
