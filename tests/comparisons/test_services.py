"""Comparisons and votes: counted once, taken back, never lost."""

import pytest
from comparisons_lab import ASKED, answered, compared
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from trivium.comparisons import services
from trivium.comparisons.models import Comparison, Vote
from trivium.comparisons.queries import (
    comparisons_visible_to,
    standing_votes,
    votes_visible_to,
)


@pytest.fixture
def comparison(project, bob) -> Comparison:
    return compared(project, bob)


def vote(comparison, labeler, choice="a", key="k1", **values) -> Vote:
    told = {"shown_left": "b", "ms_active": 4000} | values
    return services.record_vote(
        comparison=comparison, labeler=labeler, choice=choice, key=key, **told
    )


def test_a_comparison_keeps_its_prompt_and_both_answers(comparison):
    kept = Comparison.objects.get()
    assert kept.prompt == ASKED
    assert (kept.answer_a.text, kept.answer_b.text) == ("The Nile.", "The Amazon.")
    assert kept.answer_a.receipt["sampling"]["seed"] == 5


@pytest.mark.parametrize("second", ["The Nile.", " The Nile.\n"])
def test_equal_answers_are_never_compared(project, bob, second):
    with pytest.raises(services.SameAnswerError):
        compared(project, bob, "The Nile.", second)
    assert not Comparison.objects.exists()


def test_one_answer_is_no_pair(project, bob):
    one = answered(project, bob, "The Nile.")
    with pytest.raises(IntegrityError), transaction.atomic():
        Comparison.objects.create(
            project=project, prompt=ASKED, answer_a=one, answer_b=one, source="campaign"
        )


def test_an_answer_that_was_compared_cannot_be_deleted(comparison):
    with pytest.raises(ProtectedError):
        comparison.answer_a.delete()


def test_a_vote_sent_twice_is_counted_once(comparison, lara):
    first, second = vote(comparison, lara), vote(comparison, lara)
    assert first.pk == second.pk
    assert Vote.objects.count() == 1


@pytest.mark.parametrize("changed", [{"choice": "b"}, {"shown_left": "a"}])
def test_a_key_that_came_with_another_vote_is_refused(comparison, lara, changed):
    vote(comparison, lara)
    with pytest.raises(services.VoteConflictError):
        vote(comparison, lara, **changed)
    assert Vote.objects.get().choice == "a"


def test_a_key_of_another_persons_vote_is_refused(comparison, lara, vera):
    vote(comparison, lara)
    with pytest.raises(services.VoteConflictError):
        vote(comparison, vera)


def test_each_person_has_one_standing_vote(comparison, lara, vera):
    vote(comparison, lara)
    vote(comparison, vera, key="k2")
    with pytest.raises(services.VoteConflictError, match="undo"):
        vote(comparison, lara, "b", key="k3")
    assert Vote.objects.count() == 2


def test_a_vote_taken_back_stays_on_record_and_makes_room(comparison, lara):
    first = vote(comparison, lara)
    assert services.undo_vote(first)
    assert not services.undo_vote(first)
    vote(comparison, lara, "tie", key="k2")
    every = votes_visible_to(lara).order_by("pk")
    assert [one.choice for one in every] == ["a", "tie"]
    assert [one.choice for one in standing_votes(every)] == ["tie"]


def test_a_vote_undone_and_sent_again_with_its_key_stays_undone(comparison, lara):
    services.undo_vote(vote(comparison, lara))
    assert vote(comparison, lara).undone is not None
    assert not standing_votes(Vote.objects.all()).exists()


@pytest.mark.parametrize(("told", "kept"), [(-5, 0), (10**12, 86_400_000), (7, 7)])
def test_the_time_looked_at_stays_within_a_day(comparison, lara, told, kept):
    assert vote(comparison, lara, ms_active=told).ms_active == kept


def test_strangers_see_neither(comparison, lara, mallory):
    vote(comparison, lara)
    assert comparisons_visible_to(lara).count() == votes_visible_to(lara).count() == 1
    assert not comparisons_visible_to(mallory).exists()
    assert not votes_visible_to(mallory).exists()
