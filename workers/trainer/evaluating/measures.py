"""Numbers measured on samples, with how sure they are.

Shares: Wilson's interval. Differences of shares on the same rows: the adjusted
interval of Bonett and Price (2012). Means and their differences: the percentile
bootstrap, drawn from a seed. All are of 95 %.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from runspec.evaluated import Estimate

from trainer.align.measures import Z95, wilson

Floats = NDArray[np.float64]
RESAMPLES = 2_000
AT_ONCE = 5_000_000
"""Numbers drawn at the same time; bounds the memory of a bootstrap."""
LEAST = 2
"""Rows from which an interval can be told."""
TIE = 1e-6
"""Scores that differ by no more are taken for equal."""


def share(hits: float, total: int) -> Estimate:
    """Return a share with its interval; `total` is not 0."""
    low, high = wilson(hits, total)
    return Estimate(value=hits / total, low=low, high=high)


def share_difference(ours: Sequence[bool], theirs: Sequence[bool]) -> Estimate | None:
    """Return how much greater a share is than another one on the same rows."""
    num_rows = len(ours)
    if not num_rows:
        return None
    pairs = list(zip(ours, theirs, strict=True))
    only_ours = sum(one and not other for one, other in pairs)
    only_theirs = sum(other and not one for one, other in pairs)
    gained, lost = (only_ours + 1) / (num_rows + 2), (only_theirs + 1) / (num_rows + 2)
    spread = gained + lost - (gained - lost) ** 2
    half = Z95 * float(np.sqrt(spread / (num_rows + 2)))
    return Estimate(
        value=(only_ours - only_theirs) / num_rows,
        low=max(-1.0, gained - lost - half),
        high=min(1.0, gained - lost + half),
    )


def mean(values: Sequence[float], *, seed: int) -> Estimate:
    """Return a mean with its interval, none for a single row."""
    return weighted_mean(np.asarray(values, float), np.ones(len(values)), seed=seed)


def mean_difference(
    ours: Sequence[float], theirs: Sequence[float], *, seed: int
) -> Estimate | None:
    """Return how much greater a mean is than another one on the same rows."""
    if not len(ours):
        return None
    apart = np.asarray(ours, float) - np.asarray(theirs, float)
    return mean(apart.tolist(), seed=seed)


def weighted_mean(sums: Floats, counts: Floats, *, seed: int) -> Estimate:
    """Return Σ sums / Σ counts, where a pair of both is what was sampled."""
    value = float(sums.sum() / counts.sum())
    if len(sums) < LEAST:
        return Estimate(value=value)
    draw = np.random.default_rng(seed)
    found: list[Floats] = []
    rows = max(1, AT_ONCE // len(sums))
    for start in range(0, RESAMPLES, rows):
        size = (min(rows, RESAMPLES - start), len(sums))
        places = draw.integers(0, len(sums), size=size)
        found.append(sums[places].sum(axis=1) / counts[places].sum(axis=1))
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return Estimate(value=value, low=float(low), high=float(high))


def outcomes(ours: Sequence[float], theirs: Sequence[float]) -> tuple[int, int, int]:
    """Return on how many rows ours is higher, theirs is, and neither."""
    apart = np.asarray(ours, float) - np.asarray(theirs, float)
    wins, losses = int((apart > TIE).sum()), int((apart < -TIE).sum())
    return wins, losses, len(apart) - wins - losses
