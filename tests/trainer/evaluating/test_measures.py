"""Intervals are those computed by hand, or of the papers that made them."""

import math

import numpy as np
import pytest
from runspec.evaluated import Estimate, Measure, outcome_of
from trainer.evaluating.measures import (
    mean,
    mean_difference,
    outcomes,
    share,
    share_difference,
    weighted_mean,
)


def test_a_share_has_wilsons_interval():
    # 81 of 263, Newcombe 1998, table I: 0.2553 to 0.3662.
    found = share(81, 263)
    assert found.value == 81 / 263
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_a_difference_of_shares_on_the_same_rows_is_bonett_and_prices():
    # 10 rows only we got right, 2 only they did, 8 like each other: by hand,
    # p12 = 11/22, p21 = 3/22, difference 8/22, and half the width is
    # 1.95996 x sqrt((14/22 - (8/22)^2) / 22) = 0.29677.
    ours = [True] * 10 + [False] * 2 + [True] * 8
    theirs = [False] * 10 + [True] * 2 + [True] * 8
    found = share_difference(ours, theirs)
    assert found.value == pytest.approx(8 / 20)
    half = 1.959964 * math.sqrt((14 / 22 - (8 / 22) ** 2) / 22)
    assert found.low == pytest.approx(8 / 22 - half, abs=1e-6)
    assert found.high == pytest.approx(8 / 22 + half, abs=1e-6)


def test_equal_answers_are_no_proof_of_equal_models():
    found = share_difference([True] * 5, [True] * 5)
    assert found.value == 0
    assert found.low < -0.2
    assert found.high > 0.2
    assert share_difference([], []) is None


def test_a_mean_has_an_interval_near_the_normal_one_and_is_drawn_from_its_seed():
    values = np.random.default_rng(1).normal(3, 2, size=400).tolist()
    found = mean(values, seed=7)
    half = 1.96 * np.std(values) / 20
    assert found.value == pytest.approx(np.mean(values))
    assert found.low == pytest.approx(found.value - half, abs=half / 5)
    assert found.high == pytest.approx(found.value + half, abs=half / 5)
    assert mean(values, seed=7) == found
    assert mean(values, seed=8) != found
    assert mean([1.5], seed=0) == Estimate(value=1.5)


def test_a_weighted_mean_weighs_rows_by_what_they_count():
    found = weighted_mean(np.array([10.0, 1.0]), np.array([10.0, 2.0]), seed=0)
    assert found.value == 11 / 12
    assert (found.low, found.high) == (0.5, 1.0)


def test_differences_are_taken_row_by_row():
    # Rows differ much among each other, the models by one each time.
    theirs = [0.0, 100.0, 200.0, 300.0]
    found = mean_difference([one + 1 for one in theirs], theirs, seed=0)
    assert found == Estimate(value=1.0, low=1.0, high=1.0)


def test_wins_are_counted_apart_from_ties():
    assert outcomes([2, 1, 1, 3], [1, 2, 1, 3 + 1e-9]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("name", "low", "high", "outcome"),
    [
        ("honesty", 0.1, 0.3, "better"),
        ("honesty", -0.3, -0.1, "worse"),
        ("loss", 0.1, 0.3, "worse"),
        ("over_refusal", -0.3, -0.1, "better"),
        ("accuracy", -0.1, 0.3, "unclear"),
        ("accuracy", None, None, None),
    ],
)
def test_a_difference_says_better_or_worse_only_where_0_is_left_out(
    name, low, high, outcome
):
    assert outcome_of(name, Estimate(value=0.1, low=low, high=high)) == outcome


def test_a_win_rate_is_better_beyond_one_half():
    values = {"model": 1, "name": "win_rate", "n": 10, "unit": "decided rows"}
    won = Measure(estimate=Estimate(value=0.9, low=0.6, high=0.98), **values)
    even = Measure(estimate=Estimate(value=0.6, low=0.4, high=0.8), **values)
    lost = Measure(estimate=Estimate(value=0.1, low=0.02, high=0.4), **values)
    assert [one.outcome for one in (won, even, lost)] == ["better", "unclear", "worse"]
