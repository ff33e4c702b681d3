"""Reads about accounts."""

from django.db.models import QuerySet

from trivium.accounts.models import ApiToken, User

ANY_MODEL = "project/model"
TALKING = {ApiToken.Scope.FULL, ApiToken.Scope.INFERENCE}


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """Return a person's API tokens that were not revoked, newest first."""
    return ApiToken.objects.filter(user=user, revoked__isnull=True).order_by("-pk")


def model_to_try(token: ApiToken) -> str:
    """Return the id of a model that a new token can talk to; empty if it may not."""
    from trivium.serving.choices import choices_of  # which stands on this package

    if token.scope not in TALKING:
        return ""
    writers = (choice.id for choice in choices_of(token.user) if choice.can_write)
    return next(writers, ANY_MODEL)
