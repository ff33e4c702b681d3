"""How many more votes? Numbers with the assumption they stand on; never promises."""

import math
from dataclasses import dataclass

from trivium.statistics.agreement import Agreement
from trivium.statistics.intervals import LEVEL, normal_quantile

POWER = 0.8
MIN_DECIDED = 10
"""Votes with a winner below which a share is no ground for a plan."""
MAX_VOTES = 10_000_000
"""Beyond this the honest answer is that nobody will see a difference."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many votes are missing; None where no number would be honest."""

    more_votes: int | None
    minutes: float | None
    """Of labelers, at their median active time; None where that is not known."""
    assumption: str
    reason: str = ""
    """Why there is no number."""


def plan_separation(
    *, wins: int, losses: int, ties: int, median_active_s: float | None = None
) -> Plan:
    """Return how many more votes would tell two models apart.

    Enough that a 95 % interval of the win share excludes one half with a power of
    80 %, were the share of wins that seen now: the sample size of a two-sided test
    of one proportion (Fleiss, Levin and Paik, Statistical Methods for Rates and
    Proportions, 3rd ed., section 2.5; no continuity correction). Ties, which decide
    nothing, are expected as often as until now.
    """
    decided = wins + losses
    assumption = (
        "Assumes that the true share of wins, and of ties, is what was seen so far. "
        "In four cases of five the interval will then exclude one half; in one it "
        "will not. If the models are closer than they look now, it takes more."
    )
    if decided < MIN_DECIDED:
        return Plan(
            None,
            None,
            assumption,
            f"Only {decided} votes named a winner; from fewer than {MIN_DECIDED} no "
            "share can be guessed. Collect some, then ask again.",
        )
    total = decided_votes_for(wins / decided)
    if total is None or total * (decided + ties) / decided > MAX_VOTES:
        return Plan(
            None,
            None,
            assumption,
            "Both models win about equally often. If that is the truth, no number "
            "of votes tells them apart; call them equal, or compare them on other "
            "prompts.",
        )
    more = max(0, total - decided)
    votes = math.ceil(more * (decided + ties) / decided)
    return Plan(votes, minutes_for(votes, median_active_s), assumption)


def decided_votes_for(share: float) -> int | None:
    """Return the votes with a winner that show `share` not to be one half."""
    distance = abs(share - 0.5)
    if distance == 0:
        return None
    spread = normal_quantile((1 + LEVEL) / 2) * 0.5
    spread += normal_quantile(POWER) * math.sqrt(share * (1 - share))
    return math.ceil((spread / distance) ** 2)


def plan_alpha(
    agreement: Agreement,
    *,
    width: float,
    votes_per_item: float | None = None,
    median_active_s: float | None = None,
) -> Plan:
    """Return how many more votes on shared items make alpha's interval that narrow.

    The width of a bootstrap interval shrinks with one over the square root of the
    number of items; `votes_per_item` is by default what shared items have now.
    """
    assumption = (
        "Assumes that new items are like those shared so far, and that the interval "
        "shrinks with one over the square root of their number. A guess, the rougher "
        "the fewer items there are now."
    )
    interval = agreement.alpha.interval
    if width <= 0:
        return Plan(None, None, assumption, "No number of votes gives a width of 0.")
    if interval is None:
        return Plan(None, None, assumption, agreement.alpha.reason)
    if votes_per_item is None:
        votes_per_item = agreement.num_pairable / agreement.num_units
    items = agreement.num_units * (interval.width / width) ** 2
    more = max(0, math.ceil(items) - agreement.num_units)
    votes = math.ceil(more * votes_per_item)
    if votes > MAX_VOTES:
        return Plan(
            None,
            None,
            assumption,
            f"It would take more than {MAX_VOTES:,} votes. Ask for a wider interval.",
        )
    return Plan(votes, minutes_for(votes, median_active_s), assumption)


def minutes_for(votes: int, median_active_s: float | None) -> float | None:
    """Return the labelers' minutes, or None where their pace is unknown."""
    return None if median_active_s is None else votes * median_active_s / 60
