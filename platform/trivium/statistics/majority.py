"""What the votes on each item amount to."""

from dataclasses import dataclass

import numpy as np

from trivium.statistics.choices import MISSING, Choice
from trivium.statistics.intervals import Bools, Floats, Ints

LOW_AGREEMENT = 0.75
"""A majority smaller than this is worth a second look."""
NUM_CHOICES = len(Choice)


@dataclass(frozen=True, slots=True, eq=False)
class Majorities:
    """One entry for each item that has votes, in the order of their numbers."""

    item_U: Ints
    num_votes_U: Ints
    counts_UC: Ints
    """Votes for each `Choice`."""
    p_chosen_U: Floats
    """Share that preferred A; a tie, or both bad, counts as half."""
    majority_U: Ints
    """The `Choice` with most votes; `MISSING` where two have as many."""
    margin_U: Floats
    """Share of the first choice less that of the second; 0 where they are level."""
    disagreement_U: Floats
    """Entropy of the choices: 0 all the same, 1 all four equally often."""
    is_low_U: Bools
    """Less than three quarters for one choice, which takes two votes: adjudicate."""


def decide_items(item_V: Ints, choice_V: Ints) -> Majorities:
    """Return what was decided on each item."""
    items, unit_V = np.unique(item_V, return_inverse=True)
    counts_UC = np.bincount(
        unit_V * NUM_CHOICES + choice_V, minlength=len(items) * NUM_CHOICES
    ).reshape(len(items), NUM_CHOICES)
    num_U = counts_UC.sum(axis=1)
    ordered_UC = np.sort(counts_UC, axis=1)
    first_U, second_U = ordered_UC[:, -1], ordered_UC[:, -2]
    undecided_U = counts_UC[:, Choice.TIE] + counts_UC[:, Choice.BOTH_BAD]
    return Majorities(
        item_U=items,
        num_votes_U=num_U,
        counts_UC=counts_UC,
        p_chosen_U=(counts_UC[:, Choice.A] + undecided_U / 2) / num_U,
        majority_U=np.where(first_U > second_U, counts_UC.argmax(axis=1), MISSING),
        margin_U=(first_U - second_U) / num_U,
        disagreement_U=entropy_of(counts_UC),
        is_low_U=first_U < LOW_AGREEMENT * num_U,
    )


def entropy_of(counts_UC: Ints) -> Floats:
    """Return the entropy of each row as a share of the most there can be."""
    share_UC = counts_UC / counts_UC.sum(axis=1, keepdims=True)
    # 0 · log 0 is 0.
    log_UC = np.log(np.where(share_UC > 0, share_UC, 1.0))
    return np.asarray(np.abs((share_UC * log_UC).sum(axis=1)) / np.log(NUM_CHOICES))
