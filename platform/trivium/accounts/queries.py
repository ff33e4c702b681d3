"""Reads about accounts."""

from django.db.models import QuerySet

from trivium.accounts.models import ApiToken, User


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """Return a person's API tokens that were not revoked, newest first."""
    return ApiToken.objects.filter(user=user, revoked__isnull=True).order_by("-pk")
