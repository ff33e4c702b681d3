"""The list of campaigns: how far each is, who is at work, how well they agree."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet, Sum

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign, Item, Labeler, Report
from trivium.campaigns.queries import Progress, campaigns_listed_for
from trivium.projects.models import Project, Role
from trivium.projects.queries import role_in

WORDS = (
    (0.8, "strong"),
    (0.6, "good"),
    (0.4, "moderate"),
    (0.2, "fair"),
    (0.0, "slight"),
)
"""Alpha from which on agreement is called so; 0 is chance."""


class Row(NamedTuple):
    """One campaign of the list."""

    campaign: Campaign
    progress: Progress
    num_labelers: int
    """Who were handed at least one task."""
    alpha: float | None
    """Not shown to those who label."""
    may_label: bool

    @property
    def agreement(self) -> str:
        """Return agreement in a word."""
        return agreement_word(self.alpha)


def agreement_word(alpha: float | None) -> str:
    """Return how well labelers agree, in a word."""
    if alpha is None:
        return "not known yet"
    return next((word for least, word in WORDS if alpha >= least), "below chance")


def campaigns_for(
    user: User, project: Project, state: str = "", name: str = ""
) -> QuerySet[Campaign]:
    """Return the campaigns of a project that `user` has business with.

    With `state` and `name`, only those in it, and named like that.
    """
    campaigns = campaigns_listed_for(user, project)
    if state in Campaign.State.values:
        campaigns = campaigns.filter(state=state)
    if name:
        campaigns = campaigns.filter(name__icontains=name)
    return campaigns


def rows_for(user: User, project: Project, found: Sequence[Campaign]) -> list[Row]:
    """Return what the list says of some campaigns of a project."""
    role = role_in(user, project)
    invited = Labeler.objects.filter(user=user, is_invited=True)
    progress = progress_of_all(found)
    labelers = active_labelers(found)
    alphas = alphas_of(found)
    mine = set(invited.filter(campaign__in=found).values_list("campaign", flat=True))
    return [
        Row(
            campaign=one,
            progress=progress[one.pk],
            num_labelers=labelers.get(one.pk, 0),
            alpha=alphas.get(one.pk),
            may_label=role is not None
            and role >= Role.LABELER
            and (not one.is_restricted or one.pk in mine),
        )
        for one in found
    ]


def progress_of_all(campaigns: Sequence[Campaign]) -> dict[int, Progress]:
    """Return `queries.progress_of` of many campaigns, in one scan."""
    plain = Q(gold="")
    rows = (
        Item.objects.filter(campaign__in=campaigns, is_withdrawn=False)
        .order_by()
        .values("campaign")
        .annotate(
            comparisons=Count("pk"),
            votes=Sum("num_votes"),
            wanted_in_all=Sum("wanted", filter=plain),
            given=Sum("num_votes", filter=plain),
            done=Count("pk", filter=plain & Q(is_open=False)),
        )
    )
    found: dict[int, Any] = {row["campaign"]: row for row in rows}
    return {
        one.pk: Progress(
            *(
                found.get(one.pk, {}).get(name) or 0
                for name in ("comparisons", "votes", "wanted_in_all", "given", "done")
            )
        )
        for one in campaigns
    }


def active_labelers(campaigns: Sequence[Campaign]) -> dict[int, int]:
    """Return how many people each campaign handed tasks to."""
    rows = (
        Labeler.objects.filter(campaign__in=campaigns, num_tasks__gt=0)
        .order_by()
        .values_list("campaign")
        .annotate(Count("pk"))
    )
    return dict(rows)


def alphas_of(campaigns: Sequence[Campaign]) -> dict[int, float]:
    """Return alpha as far as it was computed."""
    rows = Report.objects.filter(campaign__in=campaigns).values_list(
        "campaign", "values__agreement__alpha__value"
    )
    return {pk: alpha for pk, alpha in rows if alpha is not None}
