"""Votes on tasks: cast once, taken back within reach, skipped, flagged, drafted."""

from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from pydantic import ValidationError

from trivium.accounts.models import User
from trivium.campaigns.errors import (
    IncompleteError,
    LabelingError,
    NothingToUndoError,
    TaskGoneError,
)
from trivium.campaigns.handing_out import has_place, lease_of, new_key
from trivium.campaigns.models import Assignment, Campaign, Flag, Guideline, Item
from trivium.campaigns.questions import Details, Questions, fitting, missing
from trivium.comparisons.models import Vote
from trivium.comparisons.services import MAX_ACTIVE_MS, VoteConflictError

UNDO_WITHIN = 20
"""Newest votes of a person that can be taken back."""
COUNTED_OF_ITEM = [
    f"item__{name}" for name in ("is_withdrawn", "gold", "num_votes", "wanted")
]
TALLIES = {
    Vote.Choice.A: "num_a",
    Vote.Choice.B: "num_b",
    Vote.Choice.TIE: "num_tie",
    Vote.Choice.BOTH_BAD: "num_both_bad",
}


def cast_vote(
    *, labeler: User, key: str, choice: str, details: Details, ms_active: int
) -> Vote:
    """Count a vote on the task of a key; sent again it is counted once.

    Raises:
        TaskGoneError: there is no such task, or as `count_vote`.
        IncompleteError, VoteConflictError: as `count_vote`.
    """
    if (counted := _counted(labeler, key, choice)) is not None:
        return counted
    return count_vote(
        _task(labeler, key), choice=choice, details=details, ms_active=ms_active
    )


def count_vote(
    task: Assignment, *, choice: str, details: Details, ms_active: int
) -> Vote:
    """Count a vote on a task, as `task_of` returned it; sent again it is counted once.

    Raises:
        TaskGoneError: the campaign is closed, or the lease ran out and others have the
            place.
        IncompleteError: a required question was not answered.
        VoteConflictError: the task's key came with another vote before.
    """
    questions = Questions.model_validate(task.campaign.questions)
    details = fitting(questions, choice, details)
    if lacks := missing(questions, choice, details):
        raise IncompleteError(f"Say {_listed(lacks)} too, then send the vote.")
    guideline = _guideline(task.campaign)
    # All that can be read before is: SQLite has one writer, and the others wait for it.
    with transaction.atomic():
        locked = (
            Assignment.objects.select_for_update(of=("self", "item"))
            .select_related("item")
            .only("key", "state", "expires", "round", "labeler", *COUNTED_OF_ITEM)
            .annotate(campaign_state=F("campaign__state"))
            .get(pk=task.pk)
        )
        # Sent before, or another tab was quicker while this one waited for the lock.
        is_done = locked.state == Assignment.State.VOTED or locked.key != task.key
        if is_done and (counted := _counted(task.labeler, task.key, choice)):
            return counted
        item = locked.item
        _refuse_late(locked, item, locked.campaign_state)
        vote = Vote.objects.create(
            comparison_id=item.pk,
            labeler=task.labeler,
            round=task.round,
            choice=choice,
            shown_left=task.shown_left,
            strength=details.strength,
            details=details.model_dump(mode="json", exclude={"strength"}),
            guideline=guideline,
            ms_active=min(max(0, ms_active), MAX_ACTIVE_MS),
            key=task.key,
        )
        Assignment.objects.filter(pk=task.pk).update(
            state=Assignment.State.VOTED, vote=vote, draft={}, ended=timezone.now()
        )
        if task.round == 0:
            tally(item, choice, 1)
    return vote


@transaction.atomic
def undo(*, campaign: Campaign, labeler: User, key: str = "") -> Assignment:
    """Take the last vote or skip of a person back, or the one with a key.

    The vote stays on record. The task is out again, filled in as it was.

    Raises:
        NothingToUndoError: there is none, it is not among the newest, or the campaign
            is closed.
    """
    state = Campaign.objects.values_list("state", flat=True).get(pk=campaign.pk)
    _refuse_closed(state, NothingToUndoError)
    ended = Assignment.objects.filter(campaign=campaign, labeler=labeler)
    ended = ended.exclude(state=Assignment.State.OUT).order_by("-ended", "-pk")
    newest = list(ended.select_for_update(of=("self",))[:UNDO_WITHIN])
    task = next((one for one in newest if key in {"", one.key}), None)
    if task is None:
        raise NothingToUndoError(
            f"Only your last {UNDO_WITHIN} votes can be taken back."
            if newest
            else "You have not voted here yet."
        )
    now = timezone.now()
    item = Item.objects.select_for_update(of=("self",)).get(pk=task.item_id)
    draft: dict[str, Any] = {}
    if task.vote is not None:
        vote = task.vote
        draft = {**vote.details, "strength": vote.strength, "choice": vote.choice}
        Vote.objects.filter(pk=vote.pk, undone=None).update(undone=now)
        if task.round == 0:
            tally(item, vote.choice, -1)
    elif task.round == 0 and not has_place(item, labeler, now):
        raise NothingToUndoError(
            "Others were given what you skipped, so it cannot come back."
        )
    task.state, task.vote, task.draft = Assignment.State.OUT, None, draft
    task.key, task.skip_reason, task.ended = new_key(), "", None
    task.expires = now + lease_of(campaign)
    task.save()
    return task


@transaction.atomic
def skip(*, labeler: User, key: str, reason: str) -> Assignment:
    """Leave a task to others; sent again it changes nothing.

    Raises:
        TaskGoneError: there is no such task.
    """
    task = _task(labeler, key)
    if task.state == Assignment.State.OUT:
        task.state, task.skip_reason = Assignment.State.SKIPPED, reason[:200]
        task.ended = timezone.now()
        task.save(update_fields=["state", "skip_reason", "ended"])
    return task


def flag(*, labeler: User, key: str, reason: str) -> Flag:
    """Ask for a second look at a comparison, without ending the task."""
    task = _task(labeler, key)
    made, _ = Flag.objects.get_or_create(
        item=task.item, labeler=labeler, reason=reason[:400], resolved=None
    )
    return made


@transaction.atomic
def save_draft(*, labeler: User, key: str, draft: dict[str, Any]) -> None:
    """Keep what was filled in so far, and the task with it.

    Raises:
        TaskGoneError: there is no such task.
        LabelingError: this is no draft.
    """
    task = _task(labeler, key)
    choice = draft.get("choice", "")
    try:
        details = Details.model_validate(
            {name: value for name, value in draft.items() if name != "choice"}
        )
    except ValidationError as error:
        raise LabelingError("That is no draft of a vote.") from error
    if choice not in {"", *Vote.Choice.values}:
        raise LabelingError("That is no draft of a vote.")
    kept = {**details.model_dump(mode="json"), "choice": choice}
    out = Assignment.objects.filter(pk=task.pk, state=Assignment.State.OUT)
    out.update(draft=kept)
    # A lease that ran out is not renewed here: its place may be somebody else's.
    now = timezone.now()
    out.filter(expires__gt=now).update(expires=now + lease_of(task.campaign))


def _counted(labeler: User, key: str, choice: str) -> Vote | None:
    """Return the vote that came with a key before, taken back or not."""
    vote = Vote.objects.filter(key=key, labeler=labeler).first()
    if vote is not None and vote.choice != choice:
        raise VoteConflictError("this key came with another vote before")
    return vote


def task_of(labeler: User, key: str) -> Assignment | None:
    """Return a labeler's own task of a key, with its campaign."""
    tasks = Assignment.objects.select_related("campaign")
    task = tasks.filter(labeler=labeler, key=key).first()
    if task is not None:
        task.labeler = labeler
    return task


def _task(labeler: User, key: str) -> Assignment:
    task = task_of(labeler, key)
    if task is None:
        raise TaskGoneError("This task is not yours any more. Here is the next one.")
    return task


def _refuse_late(task: Assignment, item: Item, campaign_state: str) -> None:
    """Refuse a vote on what nobody waits for; what was filled in stays a draft."""
    _refuse_closed(campaign_state, TaskGoneError)
    if task.state == Assignment.State.SKIPPED:
        raise TaskGoneError("You skipped this one. Undo that to vote on it.")
    if item.is_withdrawn:
        raise TaskGoneError("This comparison was withdrawn, so it needs no vote.")
    now = timezone.now()
    is_late = task.round == 0 and task.expires <= now
    if is_late and not has_place(item, task.labeler, now):
        raise TaskGoneError(
            "This was out for so long that others got it, and it has all its votes. "
            "Here is the next one."
        )


def _refuse_closed(state: str, error: type[LabelingError]) -> None:
    if state == Campaign.State.CLOSED:
        raise error("This campaign is closed. Its votes can no longer change.")


def tally(item: Item, choice: str, by: int) -> None:
    """Count a vote in or out; the item's row is locked."""
    field = TALLIES[Vote.Choice(choice)]
    num_votes = item.num_votes + by
    is_open = num_votes < item.wanted and not item.gold and not item.is_withdrawn
    Item.objects.filter(pk=item.pk).update(
        **{field: F(field) + by}, num_votes=num_votes, is_open=is_open
    )


def _guideline(campaign: Campaign) -> int:
    numbers = Guideline.objects.filter(campaign=campaign).order_by("-number")
    return numbers.values_list("number", flat=True).first() or 0


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
