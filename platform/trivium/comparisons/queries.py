"""Reads of comparisons and votes, scoped to who asks."""

from django.db.models import QuerySet

from trivium.accounts.models import User
from trivium.comparisons.models import Comparison, Vote
from trivium.projects.queries import projects_visible_to


def comparisons_visible_to(user: User) -> QuerySet[Comparison]:
    """Return the comparisons of the projects `user` may see."""
    return Comparison.objects.filter(
        project__in=projects_visible_to(user).order_by()
    ).select_related("project", "created_by", "answer_a", "answer_b")


def votes_visible_to(user: User) -> QuerySet[Vote]:
    """Return the votes of the projects `user` may see, those taken back included."""
    return Vote.objects.filter(
        comparison__project__in=projects_visible_to(user).order_by()
    ).select_related("comparison__project", "labeler", "judge")


def standing_votes(votes: QuerySet[Vote]) -> QuerySet[Vote]:
    """Leave out what was taken back."""
    return votes.filter(undone=None)
