"""The statistics of a campaign, computed from flat arrays and kept as JSON.

Agreement and ranking are of people's standing first votes on items that are neither
gold nor withdrawn. What each labeler is like is judged by all of their standing votes.
Judges stand apart: their votes are only ever compared with people's.
"""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.utils import timezone

from trivium.campaigns.arrays import Votes, read_votes, repeats_of, votes_of
from trivium.campaigns.forecast import pace_of
from trivium.campaigns.models import Answerer, Campaign, Report
from trivium.campaigns.questions import Questions
from trivium.statistics.agreement import agreement_over_time, measure_agreement
from trivium.statistics.choices import CODES, MISSING
from trivium.statistics.choosing import ranking_scores
from trivium.statistics.intervals import Share, share_of
from trivium.statistics.kappa import kappa_table
from trivium.statistics.labelers import LabelerVotes, report_labelers
from trivium.statistics.majority import decide_items
from trivium.statistics.pairs import count_pairs, length_difference
from trivium.statistics.position import audit_position
from trivium.statistics.ranking import Ranking, rank_models

MAX_WINDOWS = 16
WINDOWS = (3_600, 6 * 3_600, 86_400, 7 * 86_400, 28 * 86_400)
"""Seconds each point of the curve over time stands for: the first that make few."""
ROUNDS_OVER_TIME = 100
MAX_KAPPAS = 200
"""Pairs of labelers that are listed, those with most in common first."""


def refresh_report(campaign: Campaign) -> Report:
    """Compute a campaign's statistics now, and keep them."""
    began = time.perf_counter()
    # Counted before reading: a vote cast meanwhile makes the report old at once.
    num_votes = votes_of(campaign).count()
    values = compute(campaign)
    report, _ = Report.objects.update_or_create(
        campaign=campaign,
        defaults={
            "values": values,
            "num_votes": num_votes,
            "seconds": time.perf_counter() - began,
            "computed": timezone.now(),
            "asked": None,
        },
    )
    return report


def outdate_report(campaign: Campaign) -> None:
    """Say that a report is old though no vote came: an item's standing changed."""
    Report.objects.filter(campaign=campaign).update(num_votes=0)


def compute(campaign: Campaign) -> dict[str, Any]:
    """Return all a campaign's pages say of its votes, as JSON can hold it."""
    asked = Questions.model_validate(campaign.questions)
    votes = read_votes(campaign, with_axes=asked.axes != "off")
    counted = votes.only(votes.counted_V)
    answerers = list(campaign.answerers.order_by("pk"))
    found = {
        "standing": int((votes["round"] == 0).sum()),
        "counted": len(counted.rows_V),
        "median_active_s": median_active(votes),
        "pace": pace_of(votes["created"], timezone.now()),
        **agreement_values(counted),
        **labeler_values(votes),
        **ranking_values(counted, answerers),
        "guidelines": guideline_counts(votes),
        "judges": judge_values(campaign, counted),
    }
    values: dict[str, Any] = plain(found)
    return values


def median_active(votes: Votes) -> float | None:
    """Return the median time of a first vote, in seconds."""
    times = votes["ms_active"][votes["round"] == 0]
    return float(np.median(times)) / 1000 if len(times) else None


def agreement_values(counted: Votes) -> dict[str, Any]:
    """Return agreement overall, by axis, in strength, over time and pair by pair."""
    item_V, labeler_V = counted["comparison_id"], counted["labeler_id"]
    return {
        "agreement": measure_agreement(item_V, labeler_V, counted["choice"]),
        "axes": {
            axis: measure_agreement(item_V, labeler_V, said_V)
            for axis, said_V in counted.axes.items()
        },
        "strength": measure_agreement(
            item_V, labeler_V, counted["strength"], metric="ordinal"
        ),
        "over_time": over_time(counted),
        "kappas": kappa_table(item_V, labeler_V, counted["choice"])[:MAX_KAPPAS],
    }


def over_time(counted: Votes) -> dict[str, Any]:
    """Return agreement in windows of time, and how long a window is."""
    created_V = counted["created"]
    span = float(np.ptp(created_V)) if len(created_V) else 0.0
    window_s = next(
        (one for one in WINDOWS if span / one <= MAX_WINDOWS),
        math.ceil(span / MAX_WINDOWS),
    )
    windows = agreement_over_time(
        counted["comparison_id"],
        counted["labeler_id"],
        counted["choice"],
        created_V,
        window_s=window_s,
        num_rounds=ROUNDS_OVER_TIME,
    )
    return {"window_s": window_s, "windows": windows}


def labeler_values(votes: Votes) -> dict[str, Any]:
    """Return what each labeler is like, and whether sides matter."""
    labelers = report_labelers(
        LabelerVotes(
            labeler_V=votes["labeler_id"],
            choice_V=votes["choice"],
            left_V=votes["shown_left"],
            active_ms_V=votes["ms_active"],
            words_V=votes["num_words"],
            gold_V=votes["gold"],
            repeat_of_V=repeats_of(votes),
            strength_V=votes["strength"],
        )
    )
    audit = audit_position(votes["labeler_id"], votes["choice"], votes["shown_left"])
    return {
        "labelers": labelers,
        "left": audit.overall,
        "left_note": audit.note,
        "consistency": total_of([one.consistency for one in labelers]),
        "gold": total_of([one.gold for one in labelers]),
    }


def total_of(shares: Sequence[Share]) -> Share:
    """Return several shares as one."""
    return share_of(sum(one.hits for one in shares), sum(one.total for one in shares))


def ranking_values(counted: Votes, answerers: Sequence[Answerer]) -> dict[str, Any]:
    """Return the ranking of models, plain and at equal length, and its raw pairs."""
    numbers = {one.pk: at for at, one in enumerate(answerers)}
    names = names_of(answerers)
    known = counted.only((counted["answerer_a"] >= 0) & (counted["answerer_b"] >= 0))
    model_a_V, model_b_V = (
        np.array([numbers[pk] for pk in known[side].tolist()], np.int64)
        for side in ("answerer_a", "answerer_b")
    )
    words_V, more_V = known["num_words"], known["more_words"]
    length_V = length_difference((words_V + more_V) // 2, (words_V - more_V) // 2)
    counts = count_pairs(model_a_V, model_b_V, known["choice"])
    ranking = rank_models(counts, names)
    by_length = count_pairs(model_a_V, model_b_V, known["choice"], length_V=length_V)
    pks = [one.pk for one in answerers]
    return {
        "names": names,
        "answerers": pks,
        "ranking": ranking,
        "at_length": rank_models(by_length, names),
        "pairs": [
            (pks[first], pks[second], outcomes)
            for first, second, outcomes in zip(
                counts.first_G, counts.second_G, counts.outcomes_GO, strict=True
            )
        ],
        "unsure": unsure_pairs(ranking, pks),
    }


def unsure_pairs(
    ranking: Ranking, answerers: Sequence[int]
) -> list[tuple[int, int, float]]:
    """Return how unsure the ranking is of each two answerers, from 0 to 1."""
    first, second = np.triu_indices(len(answerers), 1)
    scores = ranking_scores(first, second, ranking)
    rows = zip(first.tolist(), second.tolist(), scores.tolist(), strict=True)
    return [(answerers[one], answerers[other], score) for one, other, score in rows]


def names_of(answerers: Sequence[Answerer]) -> list[str]:
    """Return names that tell answerers apart: the same model has its sampling added."""
    titles = [one.title or "Brought in" for one in answerers]
    return [
        title if titles.count(title) == 1 else f"{title} · {sampling_of(one)}"
        for title, one in zip(titles, answerers, strict=True)
    ]


def sampling_of(answerer: Answerer) -> str:
    """Return how an answerer chooses its words, in a few words."""
    said = answerer.sampling or {}
    known = (("temperature", "T"), ("top_p", "top-p"), ("seed", "seed"))
    words = [
        f"{word} {said[name]}" for name, word in known if said.get(name) is not None
    ]
    return ", ".join(words) or f"no. {answerer.pk}"


def guideline_counts(votes: Votes) -> dict[str, int]:
    """Return how many votes were cast under each version of the guidelines."""
    numbers, counts = np.unique(votes["guideline"], return_counts=True)
    return {
        str(number): count
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
    }


def judge_values(campaign: Campaign, counted: Votes) -> dict[str, Any]:
    """Return how far each judge agrees with people's majority, and with itself."""
    decided = decide_items(counted["comparison_id"], counted["choice"])
    majority = dict(
        zip(decided.item_U.tolist(), decided.majority_U.tolist(), strict=True)
    )
    verdicts = votes_of(campaign).filter(undone=None).exclude(judge=None)
    rows = verdicts.order_by("pk").values_list("judge", "comparison", "round", "choice")
    by_judge: dict[int, dict[tuple[int, int], int]] = {}
    for judge, item, number, choice in rows.iterator():
        assert judge is not None
        by_judge.setdefault(judge, {})[item, number] = CODES[choice]
    return {
        str(judge): judge_against(said, majority) for judge, said in by_judge.items()
    }


def judge_against(
    said: Mapping[tuple[int, int], int], majority: Mapping[int, int]
) -> dict[str, Any]:
    """Return a judge's agreement with the majorities of people there are."""
    first = {item: choice for (item, number), choice in said.items() if number == 0}
    shared = [item for item in first if majority.get(item, MISSING) != MISSING]
    winners = [item for item in shared if max(first[item], majority[item]) < 2]
    both = [item for item, number in said if number == 1 and item in first]
    return {
        "num_items": len(first),
        "agreement": share_of(
            sum(first[item] == majority[item] for item in shared), len(shared)
        ),
        "winners": share_of(
            sum(first[item] == majority[item] for item in winners), len(winners)
        ),
        "orders": share_of(
            sum(first[item] == said[item, 1] for item in both), len(both)
        ),
    }


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what is not a finite number is null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
