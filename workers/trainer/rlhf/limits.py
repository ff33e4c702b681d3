"""Limits that pause a run: what went wrong, in one sentence.

They are looked at when an evaluation is due, by the mean of the steps since the one
before; a single odd step pauses nothing. A run that goes on begins a new mean, so it is
paused again at the next evaluation at the earliest, and only if it is still beyond.
"""

from collections.abc import Callable
from typing import NamedTuple

from runspec import RlhfSpec


class Limit(NamedTuple):
    """One of them."""

    setting: str
    curve: str
    is_crossed: Callable[[float, float], bool]
    """(value, limit)."""
    sentence: str
    """With the places `value` and `limit`."""


def above(value: float, limit: float) -> bool:
    return value > limit


def below(value: float, limit: float) -> bool:
    return value < limit


LIMITS = (
    Limit(
        "max_kl",
        "train/kl",
        above,
        "the KL to the reference is {value:.3g} nats per token, above the limit of "
        "{limit:g}",
    ),
    Limit(
        "min_length",
        "train/length",
        below,
        "answers have {value:.3g} tokens in the mean, below the limit of {limit:g}",
    ),
    Limit(
        "max_length",
        "train/length",
        above,
        "answers have {value:.3g} tokens in the mean, above the limit of {limit:g}",
    ),
    Limit(
        "min_entropy",
        "train/entropy",
        below,
        "the entropy is {value:.3g} nats per token, below the limit of {limit:g}: the "
        "policy hardly chooses any more",
    ),
    Limit(
        "max_cut_share",
        "train/cut_share",
        above,
        "{value:.0%} of the answers are cut at the longest length, above the limit of "
        "{limit:.0%}",
    ),
)
CURVES = {one.curve for one in LIMITS}


def crossed(spec: RlhfSpec, means: dict[str, float]) -> str:
    """Return which limits the means since the last evaluation cross, or nothing."""
    found = []
    for one in LIMITS:
        limit = getattr(spec, one.setting)
        value = means.get(one.curve)
        if limit is None or value is None or not one.is_crossed(value, limit):
            continue
        found.append(one.sentence.format(value=value, limit=limit))
    return "; ".join(found)
