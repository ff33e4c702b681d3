"""People and the secrets that stand for them."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person. `is_staff` makes an admin of the whole installation."""


class ApiToken(models.Model):
    """A bearer token `tv_…`, kept as a hash and shown once."""

    class Scope(models.TextChoices):
        FULL = "full", "Everything its owner may do"
        READ = "read", "Reading only"
        INFERENCE = "inference", "Talking to models only"

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    sha256 = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=12, choices=Scope, default=Scope.FULL)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(null=True, blank=True)
    last_used = models.DateTimeField(null=True, blank=True)
    revoked = models.DateTimeField(null=True, blank=True)


class SignInLink(models.Model):
    """A one-time link, printed on the terminal, that signs its user in."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True, blank=True)


class IdempotencyKey(models.Model):
    """The answer a POST with this key was given; a repeat gets the same one."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    route = models.CharField(max_length=200)
    body_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    response = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "key"], name="idempotency_key_once_per_user"
            )
        ]
