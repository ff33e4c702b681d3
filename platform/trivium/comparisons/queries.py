"""Reads of comparisons and votes, scoped to who asks."""

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from trivium.accounts.models import User
from trivium.comparisons.models import Comparison, Vote
from trivium.projects.models import Membership, Role
from trivium.projects.queries import projects_visible_to, projects_with_role

LIVE = ("open", "paused")
"""States of a campaign whose votes may still change (`campaigns.Campaign.State`)."""


def comparisons_visible_to(user: User) -> QuerySet[Comparison]:
    """Return the comparisons of the projects `user` may see.

    Labelers see those of a campaign only once it is closed, and their own: A and B are
    always the same two models, so even without names they would tell which is which.
    """
    rows = Comparison.objects.filter(
        project__in=projects_visible_to(user).order_by()
    ).select_related("project", "created_by", "answer_a", "answer_b")
    if not user.is_staff and (labels_in := _projects_labeled_in(user)):
        rows = rows.exclude(
            ~Q(created_by=user), project__in=labels_in, item__campaign__state__in=LIVE
        )
    return rows


def votes_visible_to(user: User) -> QuerySet[Vote]:
    """Return the votes of the projects `user` may see, those taken back included.

    Of comparisons a labeler does not see, they see no votes either. `is_named` says
    whether they may know who voted: engineers may, and judges are no secret.
    """
    rows = Vote.objects.filter(
        comparison__project__in=projects_visible_to(user).order_by()
    ).select_related("comparison__project", "labeler", "judge")
    if not user.is_staff and (labels_in := _projects_labeled_in(user)):
        rows = rows.exclude(
            ~Q(comparison__created_by=user),
            comparison__project__in=labels_in,
            comparison__item__campaign__state__in=LIVE,
        )
    runs_it = projects_with_role(user, Role.ENGINEER).order_by().values("pk")
    return rows.annotate(
        is_named=ExpressionWrapper(
            Q(comparison__project__in=runs_it) | Q(labeler=user) | Q(labeler=None),
            output_field=BooleanField(),
        )
    )


def _projects_labeled_in(user: User) -> list[int]:
    """Return the projects in which a person is a labeler, and no more than that."""
    theirs = Membership.objects.filter(user=user, role=Role.LABELER)
    return list(theirs.values_list("project", flat=True))


def standing_votes(votes: QuerySet[Vote]) -> QuerySet[Vote]:
    """Leave out what was taken back."""
    return votes.filter(undone=None)
