"""Alpha: published examples, another implementation, coverage, and its refusals."""

import krippendorff
import numpy as np
import pytest
from statistics_lab import labeled, reshaped
from trivium.statistics import agreement
from trivium.statistics.agreement import agreement_over_time, measure_agreement

NOTHING = np.empty(0, np.int64)
# Krippendorff, Computing Krippendorff's alpha-reliability (2011), section C: four
# observers, twelve units, 0 where nobody looked.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


@pytest.mark.parametrize(("metric", "alpha"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_alpha_is_what_krippendorff_works_out(metric, alpha):
    found = measure_agreement(*reshaped(OBSERVERS), metric=metric)
    assert round(found.alpha.value, 3) == alpha
    # Unit 12 has one value and cannot be paired.
    assert (found.num_units, found.num_labelers, found.num_pairable) == (11, 4, 40)


@pytest.mark.parametrize("metric", ["nominal", "ordinal"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_another_implementation(metric, seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 6, (6, 40)) * (rng.random((6, 40)) < 0.5)
    expected = krippendorff.alpha(
        np.where(table == 0, np.nan, table), level_of_measurement=metric
    )
    found = measure_agreement(*reshaped(table), metric=metric)
    assert found.alpha.value == pytest.approx(expected, abs=1e-12)


def test_counts_that_do_not_fit_into_one_number_are_told_apart():
    """Up to 63 votes for each of 14 categories: 64 to the 14th is 2 to the 84th."""
    table = np.zeros((63, 17), int)
    table[:, 0] = 1
    table[:2, 1:14] = np.arange(2, 15)
    table[:2, 14:] = [[13, 13, 14], [14, 14, 13]]
    expected = krippendorff.alpha(
        np.where(table == 0, np.nan, table), level_of_measurement="nominal"
    )
    assert measure_agreement(*reshaped(table)).alpha.value == pytest.approx(expected)


def test_percent_agreement_counts_each_pair_of_votes_once():
    # One item: three pairs, one equal. Another: one pair, equal.
    item, labeler = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1])
    found = measure_agreement(item, labeler, np.array([0, 0, 1, 3, 3]))
    assert found.percent.value == 2 / 4
    assert found.percent.interval is None
    assert "Fewer than 10" in found.percent.reason


def test_percent_agreement_is_the_skill_of_simulated_labelers():
    rng = np.random.default_rng(3)
    votes = labeled(rng, num_items=20_000, overlap=3, skill=0.7)
    found = measure_agreement(*votes)
    # Both right on purpose, or equal by chance: 0.7² + (1 - 0.7²) / 4.
    assert found.percent.value == pytest.approx(0.49 + 0.51 / 4, abs=0.01)
    # Choices are equally frequent, so alpha is what is left beyond chance: 0.7².
    assert found.alpha.value == pytest.approx(0.49, abs=0.01)


@pytest.mark.parametrize("num_items", [40, 200])
def test_ninety_five_percent_intervals_cover_nearly_as_often_as_they_say(num_items):
    rng = np.random.default_rng(11)
    covered = [
        measure_agreement(
            *labeled(rng, num_items=num_items, overlap=3, skill=0.7), num_rounds=400
        ).alpha.interval.contains(0.49)
        for _ in range(200)
    ]
    # 200 trials of 0.95 stay above 0.91 in 99 of 100 cases.
    assert 0.91 <= np.mean(covered) < 1


def test_the_same_seed_gives_the_same_interval():
    votes = labeled(np.random.default_rng(0), num_items=50, overlap=2, skill=0.5)
    assert measure_agreement(*votes, seed=5) == measure_agreement(*votes, seed=5)
    assert measure_agreement(*votes, seed=5) != measure_agreement(*votes, seed=6)


def test_rounds_in_small_parts_are_the_same_rounds(monkeypatch):
    votes = labeled(np.random.default_rng(0), num_items=50, overlap=2, skill=0.5)
    whole = measure_agreement(*votes)
    monkeypatch.setattr(agreement, "CHUNK_CELLS", 100)
    assert measure_agreement(*votes) == whole


@pytest.mark.parametrize(
    ("votes", "word"),
    [
        ((NOTHING, NOTHING, NOTHING), "two labelers"),
        # One labeler, who votes once on each item.
        ((np.arange(5), np.zeros(5, int), np.arange(5)), "two labelers"),
        # Strengths that nobody gave.
        ((np.zeros(4, int), np.arange(4), np.full(4, -1)), "two labelers"),
        (reshaped(np.full((2, 30), 2)), "undefined"),
    ],
)
@pytest.mark.parametrize("metric", ["nominal", "ordinal"])
def test_undefined_alpha_is_none_with_a_reason(votes, word, metric):
    found = measure_agreement(*votes, metric=metric)
    assert (found.alpha.value, found.alpha.interval) == (None, None)
    assert word in found.alpha.reason


def test_perfect_agreement_claims_no_certainty():
    found = measure_agreement(*reshaped(np.tile(np.arange(1, 5), (3, 8))))
    assert (found.alpha.value, found.percent.value) == (1.0, 1.0)
    assert found.alpha.interval is None
    assert "no spread" in found.alpha.reason


def test_one_dissenting_vote_gives_no_interval():
    table = np.ones((2, 30), int)
    table[0, 0] = 2
    found = measure_agreement(*reshaped(table))
    assert found.alpha.value is not None
    assert found.alpha.interval is None
    assert "one category" in found.alpha.reason


def test_a_labeler_does_not_agree_with_themselves():
    with pytest.raises(ValueError, match="1 votes are a labeler's second"):
        measure_agreement(np.zeros(3, int), np.array([0, 1, 0]), np.zeros(3, int))


def test_an_item_counts_in_the_window_of_its_second_vote():
    item = np.array([0, 0, 0, 1, 1, 2])
    labeler = np.array([0, 1, 2, 3, 4, 0])
    value = np.array([0, 1, 0, 2, 2, 1])
    # Item 0: second vote at 70, third at 250. Item 1 at 260. Item 2 has but one.
    time = np.array([250.0, 5, 70, 260, 10, 20])
    first, second = agreement_over_time(item, labeler, value, time, window_s=100)
    assert (first.start_s, second.start_s) == (0, 200)
    assert (first.agreement.num_units, first.agreement.num_labelers) == (1, 3)
    assert first.agreement.percent.value == pytest.approx(1 / 3)
    assert (second.agreement.percent.value, second.agreement.num_labelers) == (1, 2)


def test_windows_are_measured_as_if_alone():
    rng = np.random.default_rng(2)
    item, labeler, value = labeled(rng, num_items=60, overlap=3, skill=0.6)
    time = np.where(item < 25, 10.0, 110.0)
    windows = agreement_over_time(item, labeler, value, time, window_s=100, seed=4)
    for window, is_in in zip(windows, (item < 25, item >= 25), strict=True):
        alone = measure_agreement(
            item[is_in], labeler[is_in], value[is_in], num_rounds=200, seed=4
        )
        assert window.agreement == alone
    assert agreement_over_time(NOTHING, NOTHING, NOTHING, NOTHING, window_s=9) == ()


def test_bands_say_where_they_are_from():
    assert all(
        50 < band.percent < 100 and band.source for band in agreement.HUMAN_BANDS
    )
    assert all(band.is_quoted for band in agreement.HUMAN_BANDS)
