"""Votes as numbers."""

from enum import IntEnum


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
