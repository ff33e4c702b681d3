"""What a person sees of a campaign: all, its results, or their own part.

Engineers see all. Viewers see results, but not who voted how. Labelers see what they
may label and their own figures: results would tell them which model to prefer.
"""

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import Http404

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign
from trivium.campaigns.queries import get_campaign, may_label
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, role_in


@dataclass(frozen=True)
class Seat:
    """One person before one campaign."""

    user: User
    project: Project
    campaign: Campaign
    role: Role

    @property
    def is_engineer(self) -> bool:
        """Whether they run the campaign."""
        return self.role >= Role.ENGINEER

    @property
    def sees_results(self) -> bool:
        """Whether they may know what the votes amount to."""
        return self.role != Role.LABELER

    @property
    def may_label(self) -> bool:
        """Whether they may vote."""
        return may_label(self.user, self.campaign)


def take_seat(user: User, slug: str, pk: int) -> Seat:
    """Return a person's place before a campaign.

    Raises:
        Http404: they are strangers, there is no such campaign, or they are labelers
            of the project who were not invited to it.
    """
    project = get_project(user, slug)
    campaign = get_campaign(user, project, pk)
    role = role_in(user, project)
    assert role is not None
    if role == Role.LABELER and not may_label(user, campaign):
        raise Http404("no such campaign")
    return Seat(user, project, campaign, role)


def engineers_seat(user: User, slug: str, pk: int) -> Seat:
    """Return an engineer's place before a campaign.

    Raises:
        Http404: as `take_seat`.
        PermissionDenied: the role is too low.
    """
    seat = take_seat(user, slug, pk)
    if not seat.is_engineer:
        raise PermissionDenied(
            f"Your role in {seat.project} is {seat.role.label.lower()}; this needs "
            "engineer."
        )
    return seat


def readers_seat(user: User, slug: str, pk: int) -> Seat:
    """Return the place of somebody who may see results.

    Raises:
        Http404: as `take_seat`.
        PermissionDenied: they label, and results would sway them.
    """
    seat = take_seat(user, slug, pk)
    if not seat.sees_results:
        raise PermissionDenied(
            "Labelers do not see results: knowing which model is ahead would sway "
            "their votes."
        )
    return seat
