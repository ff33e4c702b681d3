"""Votes counted by pair, and what graphs of votes can carry a ranking."""

import numpy as np
import pytest
from statistics_lab import battles
from trivium.statistics.pairs import (
    PairCounts,
    chains_of,
    components_of,
    count_pairs,
    length_difference,
    tells_length_apart,
)


def wins(*pairs: tuple[int, int]) -> PairCounts:
    """Return counts where the first of each pair won once."""
    winner, loser = np.array(pairs).T
    return count_pairs(winner, loser, np.zeros(len(pairs), int))


def test_a_vote_counts_the_same_from_either_side():
    model_a, model_b = np.array([2, 1, 2, 1, 2]), np.array([1, 2, 1, 2, 1])
    # 2 wins, 2 wins, 1 wins, a tie, both bad.
    counts = count_pairs(model_a, model_b, np.array([0, 1, 1, 2, 3]))
    assert (counts.first_G.tolist(), counts.second_G.tolist()) == ([1], [2])
    assert counts.outcomes_GO.tolist() == [[1, 2, 1, 1]]


def test_a_difference_of_length_turns_with_its_pair():
    counts = count_pairs(
        np.array([0, 1]),
        np.array([1, 0]),
        np.array([0, 1]),
        length_V=np.array([0.4, -0.4]),
    )
    assert counts.length_G.tolist() == [0.4]
    assert counts.outcomes_GO.tolist() == [[2, 0, 0, 0]]


def test_groups_of_length_keep_pairs_apart_and_their_mean():
    rng = np.random.default_rng(0)
    votes = battles(rng, np.zeros(4), 5000)
    plain = count_pairs(votes.model_a, votes.model_b, votes.choice)
    binned = count_pairs(
        votes.model_a, votes.model_b, votes.choice, length_V=votes.length
    )
    assert np.abs(binned.length_G).max() <= 0.8
    for first, second, outcomes in zip(
        plain.first_G, plain.second_G, plain.outcomes_GO, strict=True
    ):
        is_in = (binned.first_G == first) & (binned.second_G == second)
        assert binned.outcomes_GO[is_in].sum(axis=0).tolist() == outcomes.tolist()


def test_answers_of_one_model_are_no_pair():
    assert count_pairs(np.array([3]), np.array([3]), np.array([0])).num_votes == 0


def test_lengths_are_compared_by_their_ratio():
    found = length_difference(np.array([20, 10, 0, 5]), np.array([10, 20, 0, 0]))
    np.testing.assert_allclose(found, [1 / 3, -1 / 3, 0, 1])


def test_components_are_what_votes_connect():
    groups = components_of(wins((0, 1), (1, 2), (3, 4)), 5)
    assert len(set(groups[:3])) == len(set(groups[3:])) == 1
    assert groups[0] != groups[3]


@pytest.mark.parametrize(
    ("pairs", "num_groups"),
    [
        ([(0, 1), (1, 2), (2, 0)], 1),  # each escapes each
        ([(0, 1), (0, 2), (1, 2), (2, 1)], 2),  # 0 won everything
        ([(0, 1), (1, 2)], 3),
    ],
)
def test_who_never_lost_is_a_chain_of_their_own(pairs, num_groups):
    group, winner, _ = chains_of(wins(*pairs), 3)
    assert len(set(group)) == num_groups
    assert (len(winner) > 0) == (num_groups > 1)


def test_a_tie_connects_both_ways():
    counts = count_pairs(np.array([0, 1]), np.array([1, 2]), np.array([0, 2]))
    group, _, _ = chains_of(counts, 3)
    assert group[1] == group[2] != group[0]


def test_length_is_told_apart_only_where_a_model_varies_in_it():
    rng = np.random.default_rng(0)
    votes = battles(rng, np.zeros(3), 3000)
    habit = np.array([-0.2, 0.0, 0.3])
    fixed = habit[votes.model_a] - habit[votes.model_b]

    def is_told(length) -> bool:
        counts = count_pairs(
            votes.model_a, votes.model_b, votes.choice, length_V=length
        )
        return tells_length_apart(counts, 3)

    assert is_told(votes.length)
    assert is_told(fixed + 0.2 * votes.length)
    assert not is_told(fixed)
    assert not is_told(0 * fixed)
