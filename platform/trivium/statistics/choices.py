"""Votes as numbers."""

from enum import IntEnum

import numpy as np

from trivium.statistics.intervals import Ints


class Choice(IntEnum):
    """What a vote says, as arrays hold it; names match `comparisons.Vote.Choice`."""

    A = 0
    B = 1
    TIE = 2
    BOTH_BAD = 3


CODES = {choice.name.lower(): int(choice) for choice in Choice}
"""From the words the database holds."""

MISSING = -1
"""Where an array has nothing to say of a vote."""


def signed_strengths(choice_V: Ints, strength_V: Ints, num_strengths: int) -> Ints:
    """Return one scale, from B much better (0) over a tie to A much better.

    Two labelers who are both very sure, but of opposite answers, are then far apart.
    `strength_V` counts from 0; `MISSING` stays so, and so is both bad, which has no
    place on the scale.
    """
    signed_V = np.select(
        [choice_V == Choice.TIE, strength_V < 0, choice_V == Choice.A],
        [num_strengths, MISSING, num_strengths + 1 + strength_V],
        num_strengths - 1 - strength_V,
    )
    return np.where(choice_V == Choice.BOTH_BAD, MISSING, signed_V)
