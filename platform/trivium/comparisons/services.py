"""Every write to comparisons and votes."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from trivium.accounts.models import User
from trivium.comparisons.models import Comparison, Vote
from trivium.playground.models import Generation
from trivium.projects.models import Project

MAX_ACTIVE_MS = 24 * 3600 * 1000


class SameAnswerError(ValueError):
    """Both answers are the same text: there is nothing to prefer."""


class VoteConflictError(ValueError):
    """The vote contradicts one that stands."""


def compare_answers(
    *,
    project: Project,
    created_by: User,
    prompt: Any,
    answer_a: Generation,
    answer_b: Generation,
    source: str,
) -> Comparison:
    """Put two finished answers beside each other.

    Raises:
        SameAnswerError: nobody could prefer one, and who learns from the pair learns
            nothing.
    """
    if answer_a.text.strip() == answer_b.text.strip():
        raise SameAnswerError("both answers are the same")
    return Comparison.objects.create(
        project=project,
        created_by=created_by,
        prompt=prompt,
        answer_a=answer_a,
        answer_b=answer_b,
        source=source,
    )


def record_vote(
    *,
    comparison: Comparison,
    labeler: User,
    choice: str,
    shown_left: str,
    ms_active: int,
    key: str,
) -> Vote:
    """Record what one person said; sent again with the same key it is counted once.

    Raises:
        VoteConflictError: the key came with another vote before, or another vote of
            this person stands.
    """
    told = {
        "comparison": comparison,
        "labeler": labeler,
        "choice": choice,
        "shown_left": shown_left,
    }
    try:
        with transaction.atomic():
            vote, _ = Vote.objects.get_or_create(
                key=key,
                defaults={**told, "ms_active": min(max(0, ms_active), MAX_ACTIVE_MS)},
            )
    except IntegrityError:
        raise VoteConflictError(
            "you have voted on this already; undo that vote first"
        ) from None
    if any(getattr(vote, name) != value for name, value in told.items()):
        raise VoteConflictError("this key came with another vote before")
    return vote


def undo_vote(vote: Vote) -> bool:
    """Take a vote back; it stays on record. False where that was done before."""
    standing = Vote.objects.filter(pk=vote.pk, undone=None)
    return bool(standing.update(undone=timezone.now()))
