"""What is remembered of calls, for as long as limits need it."""

from django.db import models

from trivium.accounts.models import ApiToken, User


class ApiCall(models.Model):
    """One call that makes a model work; all web processes count the same rows."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    token = models.ForeignKey(ApiToken, models.SET_NULL, null=True, related_name="+")
    started = models.DateTimeField()
    alive_until = models.DateTimeField()
    """A call that has not ended by then was left behind by a process that died."""
    ended = models.DateTimeField(null=True)
    tokens = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["user", "started"], name="calls_of_a_user")]
