"""Lineups: one prompt given to several models, side by side, and blind where asked."""

import hashlib
import secrets
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from runspec.serving import Prompt, Sampling

from trivium.accounts.models import User
from trivium.campaigns.standing import count_vote, uncount_vote
from trivium.comparisons.models import Comparison, Lineup, LineupPlace, Vote
from trivium.comparisons.services import compare_answers, record_vote, undo_vote
from trivium.playground.beside import asked_of
from trivium.playground.models import Generation
from trivium.playground.services import generate
from trivium.projects.models import Project
from trivium.serving.choices import ModelChoice

MOST = 4
BLIND = 2
"""How many sides a blind lineup has."""
MAX_SEED = 2**31


class VoteRefusedError(ValueError):
    """A lineup cannot be voted on; the text says why."""


@transaction.atomic
def start_lineup(
    *,
    project: Project,
    created_by: User,
    choices: Sequence[ModelChoice],
    prompt: Prompt,
    sampling: Sampling,
    is_blind: bool,
) -> Lineup:
    """Ask all choices the same, with the same seed."""
    assert 2 <= len(choices) <= MOST
    assert not is_blind or len(choices) == BLIND
    if sampling.seed is None:
        sampling = sampling.model_copy(update={"seed": secrets.randbelow(MAX_SEED)})
    lineup = Lineup.objects.create(
        project=project, created_by=created_by, is_blind=is_blind
    )
    order = list(range(len(choices)))
    if is_blind:
        order.sort(key=lambda at: shuffled(lineup.pk, created_by.pk, at))
    answers = [
        generate(
            project=project,
            sender=created_by,
            choice=choice,
            prompt=prompt,
            sampling=sampling,
        )
        for choice in choices
    ]
    for position, at in enumerate(order):
        LineupPlace.objects.create(
            lineup=lineup, position=position, generation=answers[at]
        )
    return lineup


def shuffled(lineup_id: int, user_id: int, at: int) -> bytes:
    """Return what decides where an answer stands: chance, but the same each time."""
    return hashlib.sha256(f"lineup {lineup_id} of {user_id}: {at}".encode()).digest()


def answers_of(lineup: Lineup) -> list[Generation]:
    """Return the answers from left to right."""
    return [place.generation for place in lineup.places.select_related("generation")]


@transaction.atomic
def vote_on_lineup(
    *, lineup: Lineup, labeler: User, preferred: str, ms_active: int, key: str
) -> Vote | None:
    """Record which side was better, and show the names.

    `preferred` is `left`, `right`, `tie` or `both_bad`. None where both sides gave
    the same answer: that is no comparison.

    Raises:
        VoteRefusedError: it is not blind, still being answered, failed, or the names
            were seen already.
        VoteConflictError: the key came with another vote before.
    """
    lineup = Lineup.objects.select_for_update().get(pk=lineup.pk)
    left, right = ready_answers(lineup)
    answer_a, answer_b = sorted([left, right], key=lambda answer: answer.pk)
    is_a_left = left == answer_a
    if lineup.comparison is None:
        refuse_seen(lineup)
        if left.text.strip() == right.text.strip():
            reveal_lineup(lineup)
            return None
        lineup.comparison = compare_answers(
            project=lineup.project,
            created_by=labeler,
            prompt=asked_of(answer_a),
            answer_a=answer_a,
            answer_b=answer_b,
            source=Comparison.Source.PLAYGROUND,
        )
        lineup.save(update_fields=["comparison"])
    sides = {"left": "a", "right": "b"} if is_a_left else {"left": "b", "right": "a"}
    vote = record_vote(
        comparison=lineup.comparison,
        labeler=labeler,
        choice=sides.get(preferred, preferred),
        shown_left="a" if is_a_left else "b",
        ms_active=ms_active,
        key=key,
    )
    count_vote(vote)
    reveal_lineup(lineup)
    return vote


@transaction.atomic
def take_vote_back(vote: Vote) -> bool:
    """Take a vote on a lineup back; False where that was done before."""
    uncount_vote(vote)
    return undo_vote(vote)


def ready_answers(lineup: Lineup) -> tuple[Generation, Generation]:
    """Return the two answers of a blind lineup, once both are there.

    Raises:
        VoteRefusedError: they are not.
    """
    answers = answers_of(lineup)
    if not lineup.is_blind or len(answers) != BLIND:
        raise VoteRefusedError("Only blind comparisons are voted on.")
    if any(not answer.is_over for answer in answers):
        raise VoteRefusedError("Wait until both have answered.")
    if any(answer.state == Generation.State.FAILED for answer in answers):
        raise VoteRefusedError("One side did not answer, so there is nothing to judge.")
    return answers[0], answers[1]


def refuse_seen(lineup: Lineup) -> None:
    """Refuse a vote of somebody who knows the names.

    Raises:
        VoteRefusedError: the names were shown.
    """
    if lineup.revealed is not None:
        raise VoteRefusedError(
            "The names were shown already, so this is no blind vote."
        )


def reveal_lineup(lineup: Lineup) -> None:
    """Show the names; what was blind stays on record."""
    Lineup.objects.filter(pk=lineup.pk, revealed=None).update(revealed=timezone.now())
    lineup.refresh_from_db(fields=["revealed"])
