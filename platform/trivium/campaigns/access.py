"""What a person sees of a campaign: all, its results, or their own part.

Engineers see all. Viewers see results, but not who voted how. Labelers see what they
may label and their own figures: results would tell them which model to prefer.
"""

from dataclasses import dataclass
from functools import cached_property

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign, Labeler
from trivium.campaigns.queries import campaigns_visible_to, get_campaign, is_asked
from trivium.projects.models import Membership, Project, Role
from trivium.projects.queries import place_in, role_in


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

    @cached_property
    def may_label(self) -> bool:
        """Whether they may vote."""
        return self.role >= Role.LABELER and is_asked(self.user, self.campaign)


def take_seat(user: User, slug: str, pk: int) -> Seat:
    """Return a person's place before a campaign.

    Raises:
        Http404: they are strangers, there is no such campaign, or they are labelers
            of the project who were not invited to it.
    """
    project, role = place_in(user, slug)
    seat = Seat(user, project, get_campaign(project, pk), role)
    if seat.role == Role.LABELER and not seat.may_label:
        raise Http404("no such campaign")
    return seat


def seat_before(user: User, campaign: Campaign) -> Seat:
    """Return a person's place before a campaign of `campaigns_seen_by`."""
    role = role_in(user, campaign.project)
    assert role is not None
    return Seat(user, campaign.project, campaign, role)


def campaigns_seen_by(user: User) -> QuerySet[Campaign]:
    """Return the campaigns a person has a seat before, as `take_seat` decides it."""
    rows = campaigns_visible_to(user)
    if user.is_staff:
        return rows
    labels_in = Membership.objects.filter(user=user, role=Role.LABELER)
    invited = Labeler.objects.filter(user=user, is_invited=True)
    return rows.filter(
        ~Q(project__in=labels_in.values("project"))
        | Q(is_restricted=False)
        | Q(pk__in=invited.values("campaign"))
    )


def engineers_seat(user: User, slug: str, pk: int) -> Seat:
    """Return an engineer's place before a campaign.

    Raises:
        Http404: as `take_seat`.
        PermissionDenied: the role is too low.
    """
    return require_engineer(take_seat(user, slug, pk))


def require_engineer(seat: Seat) -> Seat:
    """Return a seat if it is an engineer's; PermissionDenied says why not."""
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
    return require_reader(take_seat(user, slug, pk))


def require_reader(seat: Seat) -> Seat:
    """Return a seat if it sees results; PermissionDenied says why not."""
    if not seat.sees_results:
        raise PermissionDenied(
            "Labelers do not see results: knowing which model is ahead would sway "
            "their votes."
        )
    return seat


def require_labeler(seat: Seat) -> Seat:
    """Return a seat if its owner may vote; PermissionDenied says why not."""
    if not seat.may_label:
        raise PermissionDenied(
            "You may look at this campaign, but not vote in it. An engineer of the "
            "project can invite you."
        )
    return seat
