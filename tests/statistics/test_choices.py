"""Votes as numbers."""

import numpy as np
import pytest
from statistics_lab import battles, labeled
from trivium.comparisons.models import Vote
from trivium.statistics.agreement import measure_agreement
from trivium.statistics.choices import CODES, MISSING, Choice, signed_strengths
from trivium.statistics.majority import decide_items
from trivium.statistics.pairs import count_pairs, length_difference


def test_codes_are_those_of_the_votes_in_the_database():
    assert set(CODES) == set(Vote.Choice.values)


def test_strengths_of_both_sides_are_one_scale():
    choice = np.array([1, 1, 2, 0, 0, 3, 0])
    strength = np.array([2, 0, MISSING, 0, 2, 1, MISSING])
    signed = signed_strengths(choice, strength, 3)
    assert signed.tolist() == [0, 2, 3, 4, 6, MISSING, MISSING]


def test_being_sure_of_opposite_answers_is_no_agreement():
    item, labeler = np.repeat(np.arange(20), 2), np.tile([0, 1], 20)
    choice, strength = np.tile([Choice.A, Choice.B], 20), np.repeat([2, 0], 20)
    signed = signed_strengths(choice, strength, 3)
    assert measure_agreement(item, labeler, strength, metric="ordinal").alpha.value == 1
    assert measure_agreement(item, labeler, signed, metric="ordinal").alpha.value < 0


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint32])
def test_numbers_of_any_width_give_the_same(kind):
    votes = labeled(np.random.default_rng(0), num_items=40, overlap=3, skill=0.6)
    narrow = [array.astype(kind) for array in votes]
    assert measure_agreement(*narrow) == measure_agreement(*votes)
    item, _, choice = narrow
    np.testing.assert_array_equal(
        decide_items(item, choice).counts_UC, decide_items(votes[0], votes[2]).counts_UC
    )
    fought = battles(np.random.default_rng(0), np.zeros(9), 500, nu=1)
    np.testing.assert_array_equal(
        count_pairs(*(array.astype(kind) for array in fought[:3])).outcomes_GO,
        count_pairs(*fought[:3]).outcomes_GO,
    )
    assert length_difference(np.array([1], kind), np.array([3], kind))[0] == -0.5
