"""Making campaigns: settings, guidelines, labelers, and where answers come from."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone
from runspec import GenerateSpec
from runspec.serving import Sampling

from trivium.accounts.models import User
from trivium.campaigns.chance import draw
from trivium.campaigns.models import (
    Answerer,
    Campaign,
    Guideline,
    Item,
    Labeler,
)
from trivium.campaigns.questions import Questions
from trivium.datasets.models import DatasetVersion
from trivium.naming import clean_name
from trivium.projects.models import Project
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run


@transaction.atomic
def create_campaign(
    *,
    project: Project,
    created_by: User,
    name: str,
    questions: Questions | None = None,
    guidelines: str = "",
    labelers: Sequence[User] | None = None,
    **settings: Any,
) -> Campaign:
    """Make a campaign without comparisons; `settings` are fields of `Campaign`.

    `labelers` are the only ones who may label; None lets every labeler of the project.

    Raises:
        SubmitError: the name is missing or taken.
    """
    campaign = Campaign.objects.create(
        project=project,
        created_by=created_by,
        name=_unused_name(project.campaigns.all(), name),
        questions=(questions or Questions()).model_dump(mode="json"),
        is_restricted=labelers is not None,
        **settings,
    )
    if guidelines.strip():
        write_guidelines(campaign, author=created_by, text=guidelines)
    if labelers is not None:
        invite(campaign, labelers)
    return campaign


def add_answers(
    campaign: Campaign,
    *,
    actor: User,
    prompts: DatasetVersion,
    answerers: Sequence[tuple[str, Sampling]] = (),
    max_prompts: int = 0,
) -> Run:
    """Queue the run that answers prompts and brings comparisons of them in.

    `answerers` are ids of choices with how each is sampled; none where `prompts` are
    pairs already.

    Raises:
        SubmitError: an answerer or the dataset cannot be used.
    """
    from trivium.runs.kinds import start_run  # it imports this package

    spec = GenerateSpec(
        prompts=str(prompts.pk),
        answerers=tuple(choice for choice, _ in answerers),
        samplings=tuple(sampling for _, sampling in answerers),
        max_prompts=max_prompts,
    )
    return start_run(
        project=campaign.project, created_by=actor, spec=spec, name=campaign.name
    )


def write_guidelines(campaign: Campaign, *, author: User, text: str) -> Guideline:
    """Add a version of the guidelines; unchanged text makes none."""
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        newest = campaign.guidelines.last()
        if newest is not None and newest.text == text:
            return newest
        return Guideline.objects.create(
            campaign=campaign,
            number=newest.number + 1 if newest is not None else 1,
            text=text,
            created_by=author,
        )


def invite(campaign: Campaign, people: Sequence[User]) -> None:
    """Let these, and of those invited before no others, label; votes stay."""
    with transaction.atomic():
        invited = Labeler.objects.filter(campaign=campaign)
        invited.exclude(user__in=people).update(is_invited=False)
        for person in people:
            Labeler.objects.update_or_create(
                campaign=campaign, user=person, defaults={"is_invited": True}
            )


def change_campaign(campaign: Campaign, **changes: Any) -> None:
    """Change settings; a new overlap opens and closes comparisons accordingly."""
    with transaction.atomic():
        for name, value in changes.items():
            setattr(campaign, name, value)
        campaign.save(update_fields=list(changes))
        if {"overlap", "shared_overlap", "shared_share"} & set(changes):
            _spread_overlap(campaign)


@transaction.atomic
def revise_campaign(campaign: Campaign, **wanted: Any) -> None:
    """Change the settings that differ from those wanted.

    `wanted` are fields of `Campaign`, and `labelers` as `create_campaign` takes them.

    Raises:
        SubmitError: the name is missing, or another campaign has it.
    """
    if "name" in wanted:
        others = campaign.project.campaigns.exclude(pk=campaign.pk)
        wanted["name"] = _unused_name(others, wanted["name"])
    people = wanted.pop("labelers", ())
    if people != ():
        wanted["is_restricted"] = people is not None
    changes = {
        field: value
        for field, value in wanted.items()
        if getattr(campaign, field) != value
    }
    if changes:
        change_campaign(campaign, **changes)
    if people:
        invite(campaign, people)


def pause_campaign(campaign: Campaign) -> None:
    """Hand nothing out any more; votes on what is out still count."""
    _move(campaign, [Campaign.State.OPEN], Campaign.State.PAUSED)


def open_campaign(campaign: Campaign) -> None:
    """Hand out again, after a pause or after it was closed."""
    _move(campaign, [Campaign.State.PAUSED, Campaign.State.CLOSED], Campaign.State.OPEN)


def close_campaign(campaign: Campaign) -> None:
    """Count no more votes, and let none be taken back."""
    _move(
        campaign,
        [Campaign.State.OPEN, Campaign.State.PAUSED],
        Campaign.State.CLOSED,
        closed=timezone.now(),
    )


def wanted_for(campaign: Campaign, place: int) -> int:
    """Return how many labelers a comparison is shown to, decided by its place."""
    is_shared = draw("shared", campaign.pk, place) < campaign.shared_share
    return campaign.shared_overlap if is_shared else campaign.overlap


def withdraw(items: Sequence[int], campaign: Campaign, *, is_withdrawn: bool) -> int:
    """Take comparisons out of the queue, or put them back; their votes stay."""
    with transaction.atomic():
        chosen = campaign.items.filter(pk__in=items)
        changed = chosen.exclude(is_withdrawn=is_withdrawn).update(
            is_withdrawn=is_withdrawn
        )
        _reopen(campaign)
    return changed


def set_gold(item: Item, choice: str) -> None:
    """Make a comparison a gold item with its right choice; empty: it is none."""
    with transaction.atomic():
        Item.objects.filter(pk=item.pk).update(gold=choice)
        item.refresh_from_db()
        _reopen(item.campaign)


def adjudicate(item: Item, *, actor: User, choice: str, note: str = "") -> None:
    """Decide a comparison by a second look; its votes stay. Empty takes it back."""
    Item.objects.filter(pk=item.pk).update(
        adjudicated=choice,
        adjudicated_by=actor if choice else None,
        adjudicated_at=timezone.now() if choice else None,
        adjudication_note=note if choice else "",
    )
    item.refresh_from_db()


def answerer_of(
    campaign: Campaign, choice_id: str, title: str, sampling: Any
) -> Answerer:
    """Return who answers with this model and sampling in a campaign."""
    written = json.dumps(sampling, sort_keys=True)
    return Answerer.objects.get_or_create(
        campaign=campaign,
        choice_id=choice_id,
        sampling_sha256=hashlib.sha256(written.encode()).hexdigest(),
        defaults={"title": title, "sampling": sampling},
    )[0]


def _unused_name(others: QuerySet[Campaign], raw: str) -> str:
    """Return a name, cleaned; raises SubmitError where it cannot be had."""
    name = clean_name(raw)
    if not name:
        raise SubmitError("give the campaign a name", field="name")
    if others.filter(name=name).exists():
        raise SubmitError(f"there is a campaign named {name!r}", field="name")
    return name


def _spread_overlap(campaign: Campaign) -> None:
    """Give every comparison the number of labelers the settings say."""
    for pk, place in campaign.items.values_list("pk", "place").iterator():
        wanted = wanted_for(campaign, place)
        Item.objects.filter(pk=pk).exclude(wanted=wanted).update(wanted=wanted)
    _reopen(campaign)


def _reopen(campaign: Campaign) -> None:
    """Say of every comparison anew whether it waits for votes."""
    waits = Q(num_votes__lt=F("wanted"), gold="", is_withdrawn=False)
    campaign.items.filter(waits, is_open=False).update(is_open=True)
    campaign.items.filter(~waits, is_open=True).update(is_open=False)


def _move(campaign: Campaign, sources: list[str], target: str, **values: Any) -> None:
    moved = Campaign.objects.filter(pk=campaign.pk, state__in=sources)
    if not moved.update(state=target, **values):
        campaign.refresh_from_db()
        raise SubmitError(f"the campaign is {campaign.get_state_display().lower()}")
    campaign.refresh_from_db()


def newest_guideline(campaign: Campaign) -> int:
    """Return the number of the guidelines that stand beside tasks; 0: none."""
    return campaign.guidelines.aggregate(newest=Max("number"))["newest"] or 0
