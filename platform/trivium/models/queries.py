"""Reads of the registry of models, scoped to who asks."""

from django.db.models import QuerySet

from trivium.accounts.models import User
from trivium.models.models import LanguageModel
from trivium.projects.queries import projects_visible_to


def models_visible_to(user: User) -> QuerySet[LanguageModel]:
    """Return the models of the projects `user` may see."""
    return LanguageModel.objects.filter(
        project__in=projects_visible_to(user).order_by()
    ).select_related("run", "tokenizer", "dataset__dataset")
