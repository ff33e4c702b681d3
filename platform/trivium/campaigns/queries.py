"""Reads of campaigns, scoped to who asks."""

from typing import NamedTuple

from django.db.models import Count, Q, QuerySet, Sum
from django.http import Http404

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign, Labeler
from trivium.projects.models import Project, Role
from trivium.projects.queries import has_role, projects_visible_to, role_in


class Progress(NamedTuple):
    """How far a campaign is."""

    comparisons: int
    votes: int
    """Standing first votes of people, those on gold items included."""
    wanted: int
    """Votes it wants in all, gold items left out."""
    given: int
    """Of those, the votes that are there."""
    done: int
    """Comparisons that have all their votes."""

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return self.given / self.wanted if self.wanted else 0.0


def votes_to_end(campaign: Campaign, progress: Progress) -> int:
    """Return how many votes end a campaign: its target, or all its comparisons want."""
    if campaign.target_votes is None:
        return progress.wanted
    if not progress.comparisons:  # its answers are still being written
        return campaign.target_votes
    return min(campaign.target_votes, progress.wanted)


def campaigns_visible_to(user: User) -> QuerySet[Campaign]:
    """Return the campaigns of the projects `user` may see."""
    return Campaign.objects.filter(
        project__in=projects_visible_to(user).order_by()
    ).select_related("project", "created_by")


def campaigns_listed_for(user: User, project: Project) -> QuerySet[Campaign]:
    """Return the campaigns of a project that `user` has business with."""
    if role_in(user, project) != Role.LABELER:
        return project.campaigns.all()
    invited = Labeler.objects.filter(user=user, is_invited=True)
    return project.campaigns.filter(
        Q(is_restricted=False) | Q(pk__in=invited.values("campaign"))
    )


def get_campaign(project: Project, pk: int) -> Campaign:
    """Return one campaign of a project that whoever asks may see.

    Raises:
        Http404: there is none of that number.
    """
    found = None
    if pk < 2**63:
        found = project.campaigns.select_related("created_by").filter(pk=pk).first()
    if found is None:
        raise Http404("no such campaign")
    return found


def may_label(user: User, campaign: Campaign) -> bool:
    """Whether a person may vote in a campaign."""
    return has_role(user, campaign.project, Role.LABELER) and is_asked(user, campaign)


def is_asked(user: User, campaign: Campaign) -> bool:
    """Whether a member of the project who labels is wanted in this campaign."""
    if not campaign.is_restricted:
        return True
    return Labeler.objects.filter(
        campaign=campaign, user=user, is_invited=True
    ).exists()


def progress_of(campaign: Campaign) -> Progress:
    """Count comparisons and votes; one scan of narrow rows."""
    items = campaign.items.filter(is_withdrawn=False)
    plain = Q(gold="")
    found = items.aggregate(
        comparisons=Count("pk"),
        votes=Sum("num_votes"),
        wanted=Sum("wanted", filter=plain),
        given=Sum("num_votes", filter=plain),
        done=Count("pk", filter=plain & Q(is_open=False)),
    )
    return Progress(**{name: value or 0 for name, value in found.items()})
