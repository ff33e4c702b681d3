"""Labelers: what was put into simulated ones is read off again."""

import numpy as np
import pytest
from trivium.statistics.choices import MISSING
from trivium.statistics.labelers import LabelerVotes, is_too_fast, report_labelers


def votes(num, **arrays) -> LabelerVotes:
    zeros, unknown = np.zeros(num, int), np.full(num, MISSING)
    told = {
        "labeler_V": zeros,
        "choice_V": zeros,
        "left_V": zeros,
        "active_ms_V": unknown,
        "words_V": zeros,
        "gold_V": unknown,
        "repeat_of_V": unknown,
        "strength_V": unknown,
    }
    return LabelerVotes(**told | {key: np.array(v) for key, v in arrays.items()})


def test_skill_and_steadiness_of_simulated_labelers_are_recovered():
    rng = np.random.default_rng(5)
    skills = np.array([0.95, 0.8, 0.55])
    num = 6000
    labeler = rng.integers(0, 3, num)
    gold = rng.integers(0, 2, num)
    choice = np.where(rng.random(num) < skills[labeler], gold, 1 - gold)
    # The second half repeats the first: the same item, and the same labeler.
    half = num // 2
    labeler[half:], gold[half:] = labeler[:half], gold[:half]
    again = rng.random(half) < skills[labeler[:half]]
    choice[half:] = np.where(again, gold[:half], 1 - gold[:half])
    repeat_of = np.where(np.arange(num) < half, MISSING, np.arange(num) - half)
    reports = report_labelers(
        votes(
            num, labeler_V=labeler, choice_V=choice, gold_V=gold, repeat_of_V=repeat_of
        )
    )
    assert [report.labeler for report in reports] == [0, 1, 2]
    assert sum(report.num_votes for report in reports) == num
    for report, skill in zip(reports, skills, strict=True):
        # About 2,000 votes each: three standard errors are 0.03.
        assert report.gold.value == pytest.approx(skill, abs=0.03)
        # Twice right or twice wrong.
        steady = skill**2 + (1 - skill) ** 2
        assert report.consistency.value == pytest.approx(steady, abs=0.04)
        assert report.consistency.total == (labeler[half:] == report.labeler).sum()


def test_a_tie_misses_the_gold():
    (report,) = report_labelers(votes(2, choice_V=[2, 1], gold_V=[1, 1]))
    assert (report.gold.hits, report.gold.total) == (1, 2)


@pytest.mark.parametrize(
    ("active_ms", "words", "is_fast"),
    [
        (1999, 0, True),
        (2000, 0, False),
        (5999, 90, True),  # 90 words need 6 s
        (6000, 90, False),
        (MISSING, 500, False),
    ],
)
def test_too_fast_is_faster_than_anybody_reads(active_ms, words, is_fast):
    assert is_too_fast(np.array([active_ms]), np.array([words])).tolist() == [is_fast]


def test_times_and_strengths_are_summed_up_by_labeler():
    first, second, third = report_labelers(
        votes(
            6,
            labeler_V=[7, 2, 7, 7, 7, 9],
            active_ms_V=[9000, 1000, 3000, MISSING, 4000, MISSING],
            strength_V=[0, 2, 0, MISSING, 1, MISSING],
        )
    )
    assert [first.labeler, second.labeler, third.labeler] == [2, 7, 9]
    assert (first.median_active_s, second.median_active_s) == (1.0, 4.0)
    assert (first.too_fast.value, second.too_fast.value) == (1.0, 0.0)
    assert second.too_fast.total == 3
    assert (first.strengths, second.strengths) == ((0, 0, 1), (2, 1, 0))
    assert third.median_active_s is None
    assert third.too_fast.reason


def test_the_median_of_an_even_number_lies_between():
    (report,) = report_labelers(votes(4, active_ms_V=[1000, 8000, 2000, 3000]))
    assert report.median_active_s == 2.5


def test_no_votes_are_no_reports():
    assert report_labelers(votes(0)) == ()


def test_one_vote_without_anything_known_has_reasons():
    (report,) = report_labelers(votes(1, choice_V=[3]))
    for share in (report.gold, report.consistency, report.too_fast, report.left.share):
        assert share.value is None
        assert share.reason
    assert report.strengths == ()
