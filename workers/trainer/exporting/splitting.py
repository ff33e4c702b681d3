"""Which prompts train and which validate, and how many rows are equal.

Each prompt draws a lot, the beginning of its hash; the prompts with the lowest lots, a
share of the different ones, validate. A row costs 24 bytes of memory.
"""

from array import array
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Hashes(NamedTuple):
    """What tells whether rows are equal."""

    prompt: bytes
    row: bytes
    either: bytes
    """Of the row, whichever of its answers is preferred."""


class Lots:
    """The lots of the prompts of all rows, and of the rows themselves."""

    def __init__(self) -> None:
        self._prompts = array("Q")
        self._rows = array("Q")
        self._eithers = array("Q")

    def add(self, hashes: Hashes) -> None:
        """Remember one row."""
        self._prompts.append(lot_of(hashes.prompt))
        self._rows.append(lot_of(hashes.row))
        self._eithers.append(lot_of(hashes.either))

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def num_distinct(self) -> int:
        """Count different rows."""
        return len(_distinct(self._rows))

    def num_contradictions(self) -> int:
        """Count pairs that are there both ways round."""
        return self.num_distinct() - len(_distinct(self._eithers))

    def num_prompts(self) -> int:
        """Count different prompts."""
        return len(_distinct(self._prompts))

    def limit(self, fraction: float) -> int:
        """Return the lot below which prompts validate; some but not all, if it can."""
        lots = _distinct(self._prompts)
        if fraction == 0 or len(lots) < 2:
            return 0
        wanted = max(1, round(fraction * len(lots)))
        return int(lots[min(wanted, len(lots) - 1)])


def lot_of(digest: bytes) -> int:
    """Return the lot in a hash."""
    return int.from_bytes(digest[:8], "big")


def _distinct(lots: "array[int]") -> NDArray[Any]:
    ordered = (
        np.sort(np.frombuffer(lots, np.uint64)) if lots else np.empty(0, np.uint64)
    )
    is_new = np.ones(len(ordered), bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_new]
