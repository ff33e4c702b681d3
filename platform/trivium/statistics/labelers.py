"""What the votes of each labeler look like: gold, repeats, side, speed, strength."""

from dataclasses import dataclass

import numpy as np

from trivium.statistics.choices import MISSING
from trivium.statistics.intervals import Bools, Floats, Ints, Share, shares_of
from trivium.statistics.position import LeftShare, left_shares, left_wins

WORDS_PER_SECOND = 15
"""Nobody reads so fast: silent reading is near 4 words a second (Brysbaert 2019, 238
words a minute), skimming two or three times that."""
MIN_SECONDS = 2
"""No pair is read and judged in less; also where Potato warns."""


@dataclass(frozen=True, slots=True)
class LabelerVotes:
    """The standing votes of all labelers; every array has one entry a vote."""

    labeler_V: Ints
    choice_V: Ints
    """As `Choice`."""
    left_V: Ints
    """`Choice.A` where answer A stood on the left, else `Choice.B`."""
    active_ms_V: Ints
    """`MISSING` where nobody measured."""
    words_V: Ints
    """Words of both answers together."""
    gold_V: Ints
    """The right choice of a gold item, else `MISSING`."""
    repeat_of_V: Ints
    """Index of the same labeler's earlier vote on the same item, else `MISSING`."""
    strength_V: Ints
    """How much better, from 0; `MISSING` where not asked or a tie."""


@dataclass(frozen=True, slots=True)
class LabelerReport:
    """One labeler; a share without votes behind it has None for its value."""

    labeler: int
    num_votes: int
    gold: Share
    """Votes on gold items that hit the right choice. The low end of its interval is
    what to judge by: three of three proves little."""
    consistency: Share
    """Repeats, shown with sides swapped, that got the same choice as before."""
    left: LeftShare
    median_active_s: float | None
    too_fast: Share
    strengths: tuple[int, ...]
    """How often each strength was chosen, from the weakest."""


def is_too_fast(active_ms_V: Ints, words_V: Ints) -> Bools:
    """Return which votes came sooner than both answers can have been read.

    Sooner than 2 s, or than 15 words a second allow. Unmeasured times never are.
    """
    floor_ms_V = 1000 * np.maximum(MIN_SECONDS, words_V / WORDS_PER_SECOND)
    return np.asarray((active_ms_V >= 0) & (active_ms_V < floor_ms_V))


def report_labelers(votes: LabelerVotes) -> tuple[LabelerReport, ...]:
    """Return a report of each labeler who voted, in the order of their numbers."""
    labelers, at_V = np.unique(votes.labeler_V, return_inverse=True)
    if not len(labelers):
        return ()

    def count(is_counted_V: Bools) -> Ints:
        return np.bincount(at_V[is_counted_V], minlength=len(labelers))

    is_gold_V = votes.gold_V >= 0
    is_repeat_V = votes.repeat_of_V >= 0
    # An index of -1 reads the last vote; `is_repeat_V` hides what comes of it.
    is_same_V = votes.choice_V == votes.choice_V[votes.repeat_of_V]
    is_decided_V, is_left_V = left_wins(votes.choice_V, votes.left_V)
    is_fast_V = is_too_fast(votes.active_ms_V, votes.words_V)
    rows = zip(
        labelers.tolist(),
        np.bincount(at_V).tolist(),
        shares_of(
            count(is_gold_V & (votes.gold_V == votes.choice_V)), count(is_gold_V)
        ),
        shares_of(count(is_repeat_V & is_same_V), count(is_repeat_V)),
        left_shares(labelers, count(is_left_V), count(is_decided_V)),
        medians_of(at_V, votes.active_ms_V, len(labelers)),
        shares_of(count(is_fast_V), count(votes.active_ms_V >= 0)),
        histograms_of(at_V, votes.strength_V, len(labelers)),
        strict=True,
    )
    return tuple(LabelerReport(*row) for row in rows)


def medians_of(at_V: Ints, active_ms_V: Ints, num_labelers: int) -> list[float | None]:
    """Return the median active time of each labeler, in seconds."""
    is_measured_V = active_ms_V != MISSING
    at, times = at_V[is_measured_V], active_ms_V[is_measured_V]
    times_sorted = times[np.lexsort((times, at))]
    num_L = np.bincount(at, minlength=num_labelers)
    start_L = num_L.cumsum() - num_L
    has_any_L = num_L > 0
    median_L: Floats = np.full(num_labelers, np.nan)
    low = times_sorted[(start_L + (num_L - 1) // 2)[has_any_L]]
    high = times_sorted[(start_L + num_L // 2)[has_any_L]]
    median_L[has_any_L] = (low + high) / 2000
    return [None if np.isnan(value) else value for value in median_L.tolist()]


def histograms_of(
    at_V: Ints, strength_V: Ints, num_labelers: int
) -> list[tuple[int, ...]]:
    """Return how often each labeler chose each strength."""
    has_strength_V = strength_V >= 0
    at, strength = at_V[has_strength_V], strength_V[has_strength_V]
    num_strengths = int(strength.max(initial=-1)) + 1
    counts = np.bincount(
        at * num_strengths + strength, minlength=num_labelers * num_strengths
    )
    return [tuple(row) for row in counts.reshape(num_labelers, num_strengths).tolist()]
