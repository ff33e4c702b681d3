"""When a campaign is done at the pace of late, and what it takes to know more."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from trivium.campaigns.queries import Progress
from trivium.statistics.agreement import Agreement
from trivium.statistics.intervals import Estimate, Interval
from trivium.statistics.planning import Plan, plan_alpha, plan_separation

MIN_VOTES = 20
"""Fewer votes make no pace."""
SPANS = (
    (timedelta(hours=1), "hour"),
    (timedelta(days=1), "day"),
    (timedelta(days=7), "week"),
)


class Forecast(NamedTuple):
    """What is left, and how long it takes."""

    votes_left: int
    work_s: float | None
    """Of labelers, at their median time."""
    span: str
    """`hour`, `day` or `week`: whose pace it is; empty where there is none."""
    pace_votes: int
    """Votes in that span."""
    done_in_s: float | None


def pace_of(times: Any, now: datetime) -> dict[str, Any]:
    """Return the shortest span that had enough votes; `times` are Unix seconds."""
    for span, name in SPANS:
        count = int((times > (now - span).timestamp()).sum())
        if count >= MIN_VOTES:
            return {"span": name, "span_s": span.total_seconds(), "votes": count}
    return {}


def forecast(progress: Progress, target: int | None, report: Any) -> Forecast:
    """Return when a campaign reaches its goal, as far as its report tells."""
    left = max(0, progress.wanted - progress.given)
    if target is not None:
        left = min(left, max(0, target - progress.votes))
    median, pace = report.get("median_active_s"), report.get("pace") or {}
    done_in = left * pace["span_s"] / pace["votes"] if pace else None
    return Forecast(
        votes_left=left,
        work_s=left * median if median is not None else None,
        span=pace.get("span", ""),
        pace_votes=pace.get("votes", 0),
        done_in_s=done_in,
    )


def plan_pair(report: Any, first: int, second: int) -> Plan:
    """Return how many more votes tell two answerers apart."""
    wins = losses = ties = 0
    for one, other, outcomes in report.get("pairs", ()):
        if {one, other} != {first, second}:
            continue
        better, worse, tie, both_bad = outcomes
        wins, losses = (better, worse) if one == first else (worse, better)
        ties = tie + both_bad
    return plan_separation(
        wins=wins,
        losses=losses,
        ties=ties,
        median_active_s=report.get("median_active_s"),
    )


def plan_width(report: Any, width: float) -> Plan:
    """Return how many more votes make the interval of alpha so narrow."""
    return plan_alpha(
        agreement_from(report["agreement"]),
        width=width,
        median_active_s=report.get("median_active_s"),
    )


def agreement_from(stored: Any) -> Agreement:
    """Return an agreement as it was before it was stored."""
    return Agreement(
        **stored | {name: estimate_from(stored[name]) for name in ("alpha", "percent")}
    )


def estimate_from(stored: Any) -> Estimate:
    """Return an estimate as it was before it was stored."""
    interval = stored["interval"]
    return Estimate(
        stored["value"], Interval(**interval) if interval else None, stored["reason"]
    )
