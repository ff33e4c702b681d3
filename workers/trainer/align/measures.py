"""What is said of a model's preferences on pairs it has not seen."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Z95 = 1.959963984540054
"""Quantile of the normal distribution for an interval of 95 %."""
BINS = 5
"""Of the confidence in a calibration table, from 1/2 to 1."""
MARGIN_BINS = 20
"""Half of them for pairs told apart wrongly."""


def wilson(hits: float, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927), both ends within 0 and 1."""
    if not total:
        return 0.0, 1.0
    share, spread = hits / total, Z95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(hits: float, total: int) -> dict[str, float]:
    """Return a share with its interval."""
    low, high = wilson(hits, total)
    return {"value": hits / max(1, total), "low": low, "high": high}


def wins(margins: Floats) -> float:
    """Count pairs whose chosen answer is rated higher; equal ratings count half."""
    return float((margins > 0).sum() + (margins == 0).sum() / 2)


def length_baseline(train: Sequence[int], held_out: Sequence[int]) -> dict[str, Any]:
    """Return how often length alone finds the chosen answer.

    Both are tokens the chosen answer has more than the rejected one. Whether longer or
    shorter is better is learnt from the training pairs.
    """
    longer = wins(np.asarray(train, float)) >= len(train) / 2
    sign = 1.0 if longer else -1.0
    hits = wins(sign * np.asarray(held_out, float))
    return {"picks": "longer" if longer else "shorter", **share(hits, len(held_out))}


def calibration(margins: Floats) -> list[dict[str, float]]:
    """Return how often the model is right where it is so sure, by bins of confidence.

    The confidence is what Bradley and Terry make of a margin m: 1 / (1 + exp(-|m|)).
    Empty bins are left out.
    """
    confidence = 1 / (1 + np.exp(-np.abs(margins)))
    edges = np.linspace(0.5, 1, BINS + 1)
    places = np.minimum(np.searchsorted(edges, confidence, side="right") - 1, BINS - 1)
    table = []
    for place in range(BINS):
        inside = margins[places == place]
        if not len(inside):
            continue
        found = share(wins(inside), len(inside))
        table.append(
            {
                "from": float(edges[place]),
                "to": float(edges[place + 1]),
                "pairs": len(inside),
                "predicted": float(confidence[places == place].mean()),
                "observed": found["value"],
                "low": found["low"],
                "high": found["high"],
            }
        )
    return table


def calibration_error(table: list[dict[str, float]]) -> float:
    """Return the mean distance of predicted and observed, weighted by pairs."""
    total = sum(one["pairs"] for one in table)
    apart = (abs(one["predicted"] - one["observed"]) * one["pairs"] for one in table)
    return sum(apart) / max(1, total)


def histogram(margins: Floats) -> list[dict[str, float]]:
    """Count margins in equal steps over a range that has 0 in its middle."""
    reach = float(np.abs(margins).max(initial=0.0)) or 1.0
    counts, edges = np.histogram(margins, bins=MARGIN_BINS, range=(-reach, reach))
    return [
        {"from": float(edges[at]), "to": float(edges[at + 1]), "pairs": int(count)}
        for at, count in enumerate(counts)
    ]


def judged(chosen: Floats, rejected: Floats) -> dict[str, Any]:
    """Return what two lists of rewards, one of each side, say about their pairs."""
    margins = chosen - rejected
    table = calibration(margins)
    return {
        "pairs": len(margins),
        "accuracy": share(wins(margins), len(margins)),
        "margin": float(margins.mean()),
        "margin_deviation": float(margins.std()),
        "reward_chosen": float(chosen.mean()),
        "reward_rejected": float(rejected.mean()),
        "margins": histogram(margins),
        "calibration": table,
        "calibration_error": calibration_error(table),
    }
