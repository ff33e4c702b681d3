"""Votes counted by pair of models, and whether a ranking of these can exist."""

from dataclasses import dataclass

import numpy as np

from trivium.statistics.choices import Choice
from trivium.statistics.intervals import Floats, Ints

LENGTH_BIN = 0.1
"""Differences of length closer than this are counted together, at their mean."""
FIRST, SECOND, TIE, BOTH_BAD = range(4)
"""What a vote said of its pair: columns of `PairCounts.outcomes_GO`."""
MIN_LENGTH_SPREAD = 1e-4
"""Share of the spread of lengths that must not follow from who the models are."""


@dataclass(frozen=True, slots=True, eq=False)
class PairCounts:
    """Votes between two different models, in groups that a model cannot tell apart.

    Sorted by pair; a pair has one group, or one for each bin of length.
    """

    first_G: Ints
    """The model with the lower number."""
    second_G: Ints
    outcomes_GO: Ints
    """First better, second better, tie, both bad."""
    length_G: Floats | None = None
    """Mean difference of length, first less second; None where it does not matter."""

    @property
    def num_votes(self) -> int:
        """How many votes there are, both bad included."""
        return int(self.outcomes_GO.sum())


def length_difference(words_a_V: Ints, words_b_V: Ints) -> Floats:
    """Return (a - b) / (a + b): 1/3 where A is twice as long, 0 for two empty ones."""
    # Counts may come unsigned, and these do not go below 0.
    words_a_V, words_b_V = words_a_V.astype(np.int64), words_b_V.astype(np.int64)
    total_V = words_a_V + words_b_V
    return np.asarray((words_a_V - words_b_V) / np.maximum(total_V, 1))


def count_pairs(
    model_a_V: Ints,
    model_b_V: Ints,
    choice_V: Ints,
    *,
    length_V: Floats | None = None,
) -> PairCounts:
    """Group votes by pair, and by `length_V` (of `length_difference`) if given.

    Votes between two answers of one model say nothing of models and are left out.
    """
    at = np.flatnonzero(model_a_V != model_b_V)
    model_a, model_b, choice = model_a_V[at], model_b_V[at], choice_V[at]
    is_swapped = model_a > model_b
    first = np.minimum(model_a, model_b).astype(np.int64)
    second = np.maximum(model_a, model_b).astype(np.int64)
    is_swappable = is_swapped & (choice <= Choice.B)
    outcome = np.where(is_swappable, 1 - choice, choice)
    key = first * (int(second.max(initial=0)) + 1) + second
    if length_V is None:
        group_at, group = unique_keys(key)
        return PairCounts(
            first[group_at], second[group_at], count_outcomes(group, outcome)
        )
    length = np.where(is_swapped, -length_V[at], length_V[at])
    bins = np.rint(length / LENGTH_BIN).astype(np.int64)
    num_bins = 2 * round(1 / LENGTH_BIN) + 1
    group_at, group = unique_keys(key * num_bins + bins + num_bins // 2)
    return PairCounts(
        first[group_at],
        second[group_at],
        count_outcomes(group, outcome),
        np.bincount(group, length) / np.maximum(np.bincount(group), 1),
    )


def unique_keys(key_V: Ints) -> tuple[Ints, Ints]:
    """Return where each different key occurs first, and which of them each vote has."""
    _, first_G, group_V = np.unique(key_V, return_index=True, return_inverse=True)
    return first_G, group_V


def count_outcomes(group_V: Ints, outcome_V: Ints) -> Ints:
    """Return how often each group has each outcome."""
    num_groups = int(group_V.max(initial=-1)) + 1
    counts = np.bincount(group_V * 4 + outcome_V, minlength=num_groups * 4)
    return counts.reshape(num_groups, 4)


def components_of(counts: PairCounts, num_models: int) -> Ints:
    """Return a number for each model: equal where a chain of votes connects them."""
    return label_components(num_models, counts.first_G, counts.second_G, "weak")


def chains_of(counts: PairCounts, num_models: int) -> tuple[Ints, Ints, Ints]:
    """Return groups of models of which none escapes the others, and who beat whom.

    Within a group each has won, or tied, against each through a chain; only then does
    the maximum of the likelihood exist (Ford, Solution of a ranking problem from
    binary comparisons, 1957). First comes the group of each model, then the groups
    of winner and loser of each win across two groups.
    """
    is_draw_G = counts.outcomes_GO[:, TIE] + counts.outcomes_GO[:, BOTH_BAD] > 0
    is_first_G = is_draw_G | (counts.outcomes_GO[:, FIRST] > 0)
    is_second_G = is_draw_G | (counts.outcomes_GO[:, SECOND] > 0)
    winner = np.concatenate([counts.first_G[is_first_G], counts.second_G[is_second_G]])
    loser = np.concatenate([counts.second_G[is_first_G], counts.first_G[is_second_G]])
    group_K = label_components(num_models, winner, loser, "strong")
    winner, loser = group_K[winner], group_K[loser]
    is_across = winner != loser
    return group_K, winner[is_across], loser[is_across]


def label_components(
    num_models: int, from_E: Ints, to_E: Ints, connection: str
) -> Ints:
    """Return the component of each model in the graph of these edges."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    shape = (num_models, num_models)
    graph = coo_array((np.ones(len(from_E)), (from_E, to_E)), shape=shape)
    _, label_K = connected_components(graph, directed=True, connection=connection)
    return np.asarray(label_K)


def tells_length_apart(counts: PairCounts, num_models: int) -> bool:
    """Whether lengths vary beyond what the models' own habits explain.

    If each model's answers were always of one length, a preference for long answers
    and one for the model would be the same numbers.
    """
    assert counts.length_G is not None
    votes_G = counts.outcomes_GO.sum(axis=1)
    pulled_G = votes_G * counts.length_G
    laplacian_KK = np.zeros((num_models, num_models))
    for row, column, sign in (
        (counts.first_G, counts.first_G, 1),
        (counts.second_G, counts.second_G, 1),
        (counts.first_G, counts.second_G, -1),
        (counts.second_G, counts.first_G, -1),
    ):
        np.add.at(laplacian_KK, (row, column), sign * votes_G)
    pull_K = np.bincount(counts.first_G, pulled_G, num_models)
    pull_K -= np.bincount(counts.second_G, pulled_G, num_models)
    explained = pull_K @ np.linalg.lstsq(laplacian_KK, pull_K)[0]
    spread = float(pulled_G @ counts.length_G)
    return bool(spread - explained > MIN_LENGTH_SPREAD * votes_G.sum())
