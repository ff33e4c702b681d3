"""Inference nodes, which announce themselves, and servers an admin registered."""

from django.db import models

from trivium.accounts.models import User


class Node(models.Model):
    """One inference process with its device; gone when its heart stops."""

    name = models.CharField(max_length=200, unique=True)
    url = models.CharField(max_length=300)
    device = models.CharField(max_length=40, blank=True)
    engine = models.CharField(max_length=200, blank=True)
    state = models.JSONField(default=dict)
    """`runspec.serving.NodeState`, as of the last heartbeat."""
    heartbeat = models.DateTimeField(db_index=True)
    started = models.DateTimeField()
    is_draining = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class Endpoint(models.Model):
    """Another server that speaks the OpenAI API, open to everyone here."""

    name = models.SlugField(max_length=60, unique=True)
    url = models.CharField(max_length=300)
    """Up to and with its version, like `http://gpu-1:8000/v1`."""
    api_key_encrypted = models.BinaryField(blank=True, default=b"")
    model_ids = models.JSONField(default=list)
    """Ids of the models it has."""
    is_enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def has_api_key(self) -> bool:
        """Whether a key is sent to it."""
        return bool(self.api_key_encrypted)
