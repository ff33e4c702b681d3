"""Shares: Wilson's interval as others compute it, and nothing where nothing is."""

import numpy as np
import pytest
from trivium.statistics.intervals import share_of, shares_of, wilson_bounds


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion (1998).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_that_newcombe_printed(hits, total, low, high):
    interval = share_of(hits, total).interval
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_intervals_are_those_of_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    totals = np.repeat(np.arange(1, 60), 60)
    hits = np.minimum(np.tile(np.arange(60), 59), totals)
    ours, theirs = (
        wilson_bounds(hits, totals),
        proportion_confint(hits, totals, method="wilson"),
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize(
    ("hits", "total"), [(0, 3), (3, 3), (0, 10**6), (10**6, 10**6)]
)
def test_an_interval_holds_its_share_even_at_the_ends(hits, total):
    share = share_of(hits, total)
    assert 0 <= share.interval.low <= share.value <= share.interval.high <= 1
    assert share.interval.width > 0


def test_a_share_of_nothing_says_so():
    for share in (share_of(0, 0), *shares_of(np.array([0]), np.array([0]))):
        assert (share.value, share.interval) == (None, None)
        assert "No vote" in share.reason
