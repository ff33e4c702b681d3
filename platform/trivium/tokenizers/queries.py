"""Reads of tokenizers, scoped to who asks."""

from django.db.models import QuerySet

from trivium.accounts.models import User
from trivium.projects.queries import projects_visible_to
from trivium.tokenizers.models import Tokenizer


def tokenizers_visible_to(user: User) -> QuerySet[Tokenizer]:
    """Return the tokenizers of the projects `user` may see."""
    return Tokenizer.objects.filter(
        project__in=projects_visible_to(user).order_by()
    ).select_related("run", "dataset__dataset")
