"""The registry of models."""

from django.db import models

from trivium.accounts.models import User
from trivium.datasets.models import DatasetVersion
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

LOADERS = {
    "decoder": "AutoModelForCausalLM",
    "encoder": "AutoModelForMaskedLM",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
}
ADAPTER = "adapter"
"""Folder, inside a model's, of the adapter that was merged into it."""


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
    recognised = models.JSONField(default=dict, blank=True)
    """What an import found out: class, head, context, whether it has a template…"""
    origin = models.JSONField(default=dict, blank=True)
    """Where an imported model came from: `hub` and `commit`, or `file`."""
    warnings = models.JSONField(default=list, blank=True)
    """Sentences a person should read before using it."""
    licence = models.CharField(max_length=100, blank=True)
    """A name the Hub knows (`runspec.licences`), or any other text."""
    notes = models.TextField(blank=True)
    """Markdown; part of the card."""
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

    @property
    def has_adapter(self) -> bool:
        """Whether the adapter that made it lies beside it."""
        return any(name.startswith(f"{ADAPTER}/") for name in self.files)

    @property
    def loader(self) -> str:
        """The class of transformers that loads it."""
        return self.recognised.get("loader") or LOADERS.get(
            self.architecture, "AutoModel"
        )
