"""Plans: as much power as they say, and no number where none would be honest."""

import numpy as np
import pytest
from scipy.stats import binom
from statistics_lab import labeled
from trivium.statistics.agreement import measure_agreement
from trivium.statistics.intervals import wilson_bounds
from trivium.statistics.planning import decided_votes_for, plan_alpha, plan_separation


@pytest.mark.parametrize("share", [0.52, 0.55, 0.6, 0.35, 0.75])
def test_planned_votes_exclude_one_half_four_times_in_five(share):
    total = decided_votes_for(share)
    hits = np.arange(total + 1)
    low, high = wilson_bounds(hits, np.full(total + 1, total))
    power = binom.pmf(hits, total, share)[(low > 0.5) | (high < 0.5)].sum()
    # Exact, not simulated. At 0.75 it takes 29 votes, whose steps are coarse.
    assert power == pytest.approx(0.8, abs=0.04)


def test_planned_votes_are_those_of_the_published_formula():
    # Fleiss, Levin and Paik: (1.960 · 0.5 + 0.842 · √(0.6 · 0.4))² / 0.1² = 193.9.
    assert decided_votes_for(0.6) == 194


def test_ties_cost_votes_and_votes_cost_minutes():
    plain = plan_separation(wins=60, losses=40, ties=0, median_active_s=30)
    tied = plan_separation(wins=60, losses=40, ties=100, median_active_s=30)
    assert (plain.more_votes, plain.minutes) == (94, 47)
    assert (tied.more_votes, tied.minutes) == (188, 94)
    assert plan_separation(wins=60, losses=40, ties=0).minutes is None
    assert "Assumes" in plain.assumption


def test_it_does_not_matter_which_of_the_two_leads():
    one, other = (plan_separation(wins=w, losses=100 - w, ties=5) for w in (60, 40))
    assert one == other


def test_enough_votes_need_no_more():
    assert plan_separation(wins=900, losses=100, ties=3).more_votes == 0


@pytest.mark.parametrize(
    ("wins", "losses", "ties", "word"),
    [
        (50, 50, 0, "equally often"),
        (500_001, 500_000, 0, "equally often"),
        (3, 2, 40, "Only 5 votes"),
        (0, 0, 0, "Only 0 votes"),
    ],
)
def test_what_cannot_be_planned_has_a_reason(wins, losses, ties, word):
    plan = plan_separation(wins=wins, losses=losses, ties=ties, median_active_s=9)
    assert (plan.more_votes, plan.minutes) == (None, None)
    assert word in plan.reason


def test_a_planned_width_of_alpha_is_reached():
    rng = np.random.default_rng(6)
    now = measure_agreement(*labeled(rng, num_items=150, overlap=3, skill=0.7))
    plan = plan_alpha(now, width=0.06, median_active_s=20)
    assert plan.minutes == plan.more_votes / 3
    later = measure_agreement(
        *labeled(rng, num_items=150 + plan.more_votes // 3, overlap=3, skill=0.7)
    )
    assert later.alpha.interval.width == pytest.approx(0.06, rel=0.15)
    assert plan_alpha(now, width=0.9).more_votes == 0


def test_items_with_fewer_votes_each_cost_fewer():
    rng = np.random.default_rng(6)
    now = measure_agreement(*labeled(rng, num_items=150, overlap=3, skill=0.7))
    by_three, by_two = (
        plan_alpha(now, width=0.1, votes_per_item=each).more_votes for each in (3, 2)
    )
    assert by_two == pytest.approx(by_three * 2 / 3, abs=1)


def test_alpha_without_an_interval_cannot_be_planned():
    nothing = np.empty(0, np.int64)
    none = measure_agreement(nothing, nothing, nothing)
    assert plan_alpha(none, width=0.1).more_votes is None
    assert plan_alpha(none, width=0.1).reason == none.alpha.reason
    some = measure_agreement(
        *labeled(np.random.default_rng(0), num_items=20, overlap=2, skill=0.5)
    )
    assert "more than" in plan_alpha(some, width=1e-6).reason
    assert "width of 0" in plan_alpha(some, width=0).reason
