"""What is shown next: uncertain pairs, and never less than a fifth by chance."""

import numpy as np
import pytest
from statistics_lab import battles
from trivium.statistics.choosing import (
    margin_scores,
    mix_order,
    random_scores,
    ranking_scores,
)
from trivium.statistics.pairs import count_pairs
from trivium.statistics.ranking import Ranking, rank_models

IDS = np.arange(1000, 2000)


def test_chance_is_even_and_the_same_each_time():
    drawn = random_scores(np.arange(100_000), seed=1)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
    # Five standard deviations of a bin of 5,000.
    assert np.abs(counts - 5000).max() < 350
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.02
    np.testing.assert_array_equal(drawn, random_scores(np.arange(100_000), seed=1))
    other = random_scores(np.arange(100_000), seed=2)
    assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.02


def test_an_id_keeps_its_number_in_any_company():
    alone = random_scores(np.array([1500]), seed=3)
    assert alone[0] == random_scores(IDS, seed=3)[500]


def test_small_margins_come_first_and_unscored_ones_last():
    scores = margin_scores(np.array([0.0, 0.5, -0.5, 3.0, -900.0, np.nan]))
    assert scores[0] == 1
    assert scores[1] == scores[2] > scores[3] > scores[4]
    assert scores[4] == scores[5] == 0


def test_pairs_with_few_votes_are_the_uncertain_ones():
    votes = battles(np.random.default_rng(0), np.zeros(3), 3000)
    # Model 2 is met a hundred times less often.
    rare = (votes.model_a == 2) | (votes.model_b == 2)
    kept = ~rare | (np.arange(3000) % 100 == 0)
    counts = count_pairs(*(part[kept] for part in votes[:3]))
    ranking = rank_models(counts, ["a", "b", "c", "new"])
    a, b = np.array([0, 0, 2, 0, 3, 1, 3]), np.array([1, 2, 1, 3, 2, 1, 3])
    known, rare_1, rare_2, new_1, new_2, *same = ranking_scores(a, b, ranking)
    assert known < min(rare_1, rare_2)
    assert new_1 == new_2 == 1 > rare_1
    assert same == [0, 0]


def test_without_a_ranking_all_pairs_are_unknown():
    scores = ranking_scores(np.array([0, 4]), np.array([1, 2]), Ranking(refusal="no"))
    assert scores.tolist() == [1, 1]
    nothing = np.empty(0, np.int64)
    assert len(ranking_scores(nothing, nothing, Ranking())) == 0


@pytest.mark.parametrize("share", [0.2, 0.25, 1 / 3, 0.5, 1.0])
def test_chance_has_its_share_of_every_beginning_of_the_queue(share):
    order = mix_order(IDS, np.linspace(0, 1, 1000), seed=0, random_share=share)
    shown = np.arange(1, 1001)
    assert (order.is_random_N.cumsum() >= share * shown - 1e-6).all()
    assert order.is_random_N.sum() == pytest.approx(1000 * share, abs=1)


def test_each_candidate_is_shown_once_and_the_rest_by_score():
    scores = random_scores(IDS, seed=99)
    order = mix_order(IDS, scores, seed=0)
    assert sorted(order.at_N) == list(range(1000))
    chosen = scores[order.at_N[~order.is_random_N]]
    assert (np.diff(chosen) <= 0).all()


def test_what_chance_chose_does_not_depend_on_scores():
    one, other = (
        mix_order(IDS, scores, seed=5)
        for scores in (np.linspace(0, 1, 1000), np.linspace(1, 0, 1000))
    )
    np.testing.assert_array_equal(
        one.at_N[one.is_random_N], other.at_N[other.is_random_N]
    )
    # A fair sample: its mean score is near one half, that of the first chosen is not.
    assert abs(np.linspace(0, 1, 1000)[one.at_N[one.is_random_N]].mean() - 0.5) < 0.07


@pytest.mark.parametrize("share", [0.19, 0.0, -1, 1.1, float("nan")])
def test_less_than_a_fifth_of_chance_is_refused(share):
    with pytest.raises(ValueError, match="random_share"):
        mix_order(IDS, 0.0 * IDS, seed=0, random_share=share)


def test_an_empty_queue_has_an_empty_order():
    assert len(mix_order(IDS[:0], 0.0 * IDS[:0], seed=0).at_N) == 0
