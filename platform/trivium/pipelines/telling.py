"""The few numbers by which a step is judged, read off what its run ended with."""

from typing import Any, NamedTuple, TypeGuard

from trivium.pages.templatetags import numbers
from trivium.runs.models import Run

MEASURES = {
    "win_rate": "win rate",
    "exact": "exact answers",
    "honesty": "honesty",
    "harmlessness": "harmlessness",
    "pair_accuracy": "pairs told apart",
    "loss": "loss",
}
"""Measures of an evaluation a pipeline shows, the most telling first."""
MOST = 3


class Figure(NamedTuple):
    """One number that matters."""

    label: str
    value: float
    text: str
    """As a person reads it."""
    beside: str = ""
    """What to hold it against, in words."""


def figures_of(run: Run | None) -> list[Figure]:
    """Return the numbers that matter of a finished run; none before it is."""
    if run is None or run.state != Run.State.SUCCEEDED:
        return []
    found = [*_of_training(run.result), *_of_evaluation(run)]
    return found[:MOST]


def win_rate_of(run: Run | None) -> Figure | None:
    """Return how often the newest model of an evaluation wins against its baseline."""
    wanted = MEASURES["win_rate"]
    return next((one for one in figures_of(run) if one.label == wanted), None)


def _of_training(result: dict[str, Any]) -> list[Figure]:
    found = []
    loss = result.get("validation_loss")
    if _is_number(loss):
        found.append(Figure("validation loss", loss, numbers.decimal(loss)))
    measured = _table(result, "measured")
    exact = measured.get("exact_match")
    if _is_number(exact):
        found.append(Figure("exact answers", exact, numbers.percent(exact)))
    preference = _table(result, "preference")
    accuracy = _table(preference, "accuracy").get("value")
    if _is_number(accuracy):
        interval = _interval("accuracy", _table(preference, "accuracy"))
        length = _table(preference, "by_length").get("value")
        by_length = f"by length alone {numbers.percent(length)}" if length else ""
        beside = ", ".join(filter(None, (interval, by_length)))
        found.insert(
            0, Figure("pairs told apart", accuracy, numbers.percent(accuracy), beside)
        )
    reward = measured.get("reward")
    if _is_number(reward):
        found.insert(0, Figure("reward", reward, numbers.decimal(reward)))
    return found


def _of_evaluation(run: Run) -> list[Figure]:
    """Return what an evaluation found of its last model, the newest."""
    measures = run.result.get("measures")
    models = run.spec.get("models") or ()
    if not isinstance(measures, list) or not models:
        return []
    newest = len(models) - 1
    found: dict[str, Figure] = {}
    for one in measures:
        if not isinstance(one, dict) or one.get("model") != newest:
            continue
        name, estimate = str(one.get("name")), _table(one, "estimate")
        value = estimate.get("value")
        if name not in MEASURES or name in found or not _is_number(value):
            continue
        text = numbers.decimal(value) if name == "loss" else numbers.percent(value)
        found[name] = Figure(MEASURES[name], value, text, _interval(name, estimate))
    return [found[name] for name in MEASURES if name in found]


def _interval(name: str, estimate: dict[str, Any]) -> str:
    low, high = estimate.get("low"), estimate.get("high")
    if not (_is_number(low) and _is_number(high)):
        return ""
    write = numbers.decimal if name == "loss" else numbers.percent
    return f"95 % interval {write(low)} to {write(high)}"


def _table(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
