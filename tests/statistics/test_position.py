"""The left side: exact tests, Holm's correction, and a simulated bias found."""

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests
from trivium.statistics.choices import Choice
from trivium.statistics.position import audit_position, half_test, holm


def test_the_p_value_is_that_of_the_exact_binomial_test():
    totals = np.array([1, 7, 20, 101, 5000])
    hits = np.array([0, 6, 10, 70, 2400])
    expected = [
        binomtest(int(hit), int(total)).pvalue
        for hit, total in zip(hits, totals, strict=True)
    ]
    np.testing.assert_allclose(half_test(hits, totals), expected, rtol=1e-9)


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(0).random(30) ** 4
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_the_side_is_read_from_the_order_shown():
    # Left: A wins; left: B wins; right wins; ties count for nobody.
    choice = np.array([Choice.A, Choice.B, Choice.A, Choice.TIE, Choice.BOTH_BAD])
    left = np.array([Choice.A, Choice.B, Choice.B, Choice.A, Choice.A])
    share = audit_position(np.zeros(5, int), choice, left).overall.share
    assert (share.hits, share.total) == (2, 3)


def test_a_biased_labeler_is_found_among_honest_ones():
    rng = np.random.default_rng(7)
    labeler = np.repeat(np.arange(20), 500)
    left = rng.integers(0, 2, len(labeler))
    goes_left = rng.random(len(labeler)) < np.where(labeler == 13, 0.65, 0.5)
    audit = audit_position(labeler, np.where(goes_left, left, 1 - left), left)
    (biased,) = [row for row in audit.labelers if row.is_alarming]
    assert biased.labeler == 13
    assert biased.share.value == pytest.approx(0.65, abs=0.05)
    assert biased.is_half_inside is False
    # One in twenty honest ones has one half outside its interval: no alarm for that.
    assert audit.overall.share.total == 10_000


def test_honest_labelers_are_hardly_ever_accused():
    rng = np.random.default_rng(8)
    accused = 0
    for _ in range(100):
        labeler, left = np.repeat(np.arange(20), 100), rng.integers(0, 2, 2000)
        audit = audit_position(labeler, rng.integers(0, 2, 2000), left)
        accused += any(row.is_alarming for row in audit.labelers)
    # Unadjusted, 64 of 100 audits would accuse somebody.
    assert accused <= 12


def test_no_vote_with_a_winner_says_nothing():
    for labeler in ([], [4, 4]):
        choice = np.full(len(labeler), Choice.TIE, int)
        audit = audit_position(np.array(labeler, int), choice, choice * 0)
        for row in (audit.overall, *audit.labelers):
            assert (row.share.value, row.p_value, row.adjusted_p) == (None, None, None)
            assert row.is_half_inside is None
            assert not row.is_alarming
