"""Shares with Wilson's interval, and what an estimate is."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

LEVEL = 0.95
"""How often an interval made this way covers the truth."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, both ends included."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """How far the ends are apart."""
        return self.high - self.low

    def contains(self, value: float) -> bool:
        """Whether `value` lies inside."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; where one is None, `reason` says why."""

    value: float | None
    interval: Interval | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `total`; where the value is None, `reason` says why."""

    hits: float
    total: int
    value: float | None
    interval: Interval | None
    reason: str = ""


NOTHING = Share(0, 0, None, None, "No vote counts here yet.")


def normal_quantile(probability: float) -> float:
    """Return the point below which a standard normal variable stays that often."""
    return NormalDist().inv_cdf(probability)


def wilson_bounds(hits: ArrayLike, totals: ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of Wilson's score interval; NaN where a total is 0.

    Wilson, Probable inference, the law of succession, and statistical inference
    (JASA 1927), without continuity correction. Unlike the normal interval it keeps
    within 0 and 1, and has a width where all or none hit.
    """
    hits, totals = np.asarray(hits, np.float64), np.asarray(totals, np.float64)
    z2 = normal_quantile((1 + LEVEL) / 2) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / totals
        middle = (share + z2 / (2 * totals)) / (1 + z2 / totals)
        inner = share * (1 - share) / totals + z2 / (4 * totals**2)
        half = np.sqrt(z2 * inner) / (1 + z2 / totals)
    # Rounding must not push an end that is 0 or 1 beyond it.
    return np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)


def share_of(hits: float, total: int) -> Share:
    """Return a share with its interval."""
    if total == 0:
        return NOTHING
    low, high = wilson_bounds(hits, total)
    return Share(hits, total, hits / total, Interval(float(low), float(high)))


def shares_of(hits_N: Ints, totals_N: Ints) -> list[Share]:
    """Return many shares at once."""
    return [
        Share(hits, total, hits / total, Interval(low, high)) if total else NOTHING
        for hits, total, low, high in zip(
            hits_N.tolist(),
            totals_N.tolist(),
            *(bound.tolist() for bound in wilson_bounds(hits_N, totals_N)),
            strict=True,
        )
    ]


def middle_of(values_R: Floats) -> Interval:
    """Return the interval between which a bootstrap's middle 95 % lie."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values_R, [tail, 1 - tail])
    return Interval(float(low), float(high))
