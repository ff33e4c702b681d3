"""The registry of models."""

from django.db import models

from trivium.accounts.models import User
from trivium.datasets.models import DatasetVersion
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


class LanguageModel(models.Model):
    """Weights, config, tokenizer and card; being prepared while `path` is empty."""

    class Stage(models.TextChoices):
        BASE = "base", "Base"
        INSTRUCT = "instruct", "Instruct"
        REWARD = "reward", "Reward"
        ALIGNED = "aligned", "Aligned"

    class Architecture(models.TextChoices):
        DECODER = "decoder", "Decoder"
        ENCODER = "encoder", "Encoder"
        ENCODER_DECODER = "encoder-decoder", "Encoder-decoder"

    project = models.ForeignKey(Project, models.CASCADE, related_name="models")
    name = models.CharField(max_length=200)
    stage = models.CharField(max_length=12, choices=Stage)
    architecture = models.CharField(max_length=16, choices=Architecture)
    family = models.CharField(max_length=40)
    run = models.OneToOneField(Run, models.SET_NULL, null=True, related_name="model")
    parents = models.ManyToManyField(
        "self", symmetrical=False, related_name="children", blank=True
    )
    dataset = models.ForeignKey(
        DatasetVersion, models.SET_NULL, null=True, related_name="models"
    )
    tokenizer = models.ForeignKey(
        Tokenizer, models.SET_NULL, null=True, related_name="models"
    )
    path = models.CharField(max_length=500, blank=True)
    """Key in storage."""
    num_parameters = models.PositiveBigIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    validation_loss = models.FloatField(null=True, blank=True)
    files = models.JSONField(default=dict)
    """Name → {size, sha256} of each file."""
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="model_name_once_per_project"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_ready(self) -> bool:
        """Whether it can be used."""
        return bool(self.path)
