"""Kappa: the textbook, statsmodels, and who is compared with whom."""

import numpy as np
import pytest
from statistics_lab import labeled
from statsmodels.stats.inter_rater import cohens_kappa
from trivium.statistics.kappa import cohen_kappa, kappa_table


def test_kappa_is_that_of_the_textbook():
    """Fifty applications, two readers: agreed on 20 and 15 of them."""
    assert cohen_kappa(np.array([[20, 5], [10, 15]])).value == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_and_interval_are_those_of_statsmodels(seed):
    table = np.random.default_rng(seed).integers(1, 40, (4, 4)) + 20 * np.eye(
        4, dtype=int
    )
    ours, theirs = cohen_kappa(table), cohens_kappa(table)
    assert ours.value == pytest.approx(theirs.kappa)
    assert ours.interval.low == pytest.approx(theirs.kappa_low)
    assert ours.interval.high == pytest.approx(theirs.kappa_upp)


@pytest.mark.parametrize(
    ("table", "value", "word"),
    [
        (np.zeros((2, 2), int), None, "no item in common"),
        (np.array([[9, 0], [0, 0]]), None, "undefined"),
        (np.array([[9, 0], [0, 4]]), 1.0, "no standard error"),
    ],
)
def test_kappa_says_what_it_cannot_know(table, value, word):
    found = cohen_kappa(table)
    assert (found.value, found.interval) == (value, None)
    assert word in found.reason


def test_the_table_holds_each_pair_that_shares_items():
    rng = np.random.default_rng(1)
    item, labeler, value = labeled(
        rng, num_items=400, overlap=3, skill=0.6, num_labelers=6
    )
    shuffled = rng.permutation(len(item))
    item, labeler, value = item[shuffled], labeler[shuffled], value[shuffled]
    pairs = kappa_table(item, labeler * 10, value)
    assert [pair.num_shared for pair in pairs] == sorted(
        (pair.num_shared for pair in pairs), reverse=True
    )
    assert len(pairs) == 6 * 4 / 2
    said = {
        key: v
        for *key, v in zip(item, labeler * 10, value, strict=True)
        for key in [tuple(key)]
    }
    for pair in pairs:
        table = np.zeros((4, 4), int)
        for one in range(400):
            both = [said.get((one, who)) for who in (pair.first, pair.second)]
            if None not in both:
                table[tuple(both)] += 1
        assert pair.num_shared == table.sum()
        assert pair.percent == pytest.approx(np.trace(table) / table.sum())
        assert pair.kappa.value == pytest.approx(cohens_kappa(table).kappa)


def test_only_the_busiest_are_compared():
    # Labelers 1 and 3 share three items, 2 shares one.
    item = np.array([0, 0, 1, 1, 2, 2, 2])
    labeler = np.array([1, 3, 1, 3, 1, 3, 2])
    value = np.array([0, 0, 1, 1, 0, 1, 1])
    assert len(kappa_table(item, labeler, value)) == 3
    (pair,) = kappa_table(item, labeler, value, max_labelers=2)
    assert (pair.first, pair.second, pair.num_shared) == (1, 3, 3)
    (pair,) = kappa_table(item, labeler, value, min_shared=2)
    assert pair.num_shared == 3


def test_nobody_to_compare_is_an_empty_table():
    nothing = np.empty(0, int)
    assert kappa_table(nothing, nothing, nothing) == ()
    assert kappa_table(np.arange(3), np.zeros(3, int), np.zeros(3, int)) == ()
