"""Figures a run ended with, named and written as people read them."""

from collections.abc import Callable
from typing import Any

from trivium.pages.templatetags import numbers
from trivium.runs.models import Run

MAX_RESULTS = 12
RESULT_UNITS: dict[str, Callable[[object], str]] = {
    **dict.fromkeys(
        ("seconds", "sampling_s", "rewarding_s", "training_s"), numbers.duration
    ),
    **dict.fromkeys(
        ("sampling_tokens_per_s", "training_tokens_per_s"),
        lambda value: f"{numbers.count(value)} tokens/s",
    ),
    "votes": numbers.percent,
    "tokens_per_s": lambda value: f"{numbers.count(value)} tokens/s",
    "mfu": numbers.percent,
    "peak_flops": lambda value: f"{numbers.count(value)}FLOP/s",
    "is_compiled": lambda value: "yes" if value else "no",
}
RLHF = (
    *("sampler", "sampling_tokens_per_s", "training_tokens_per_s"),
    *("sampling_s", "rewarding_s", "training_s"),
)
RESULT_LABELS = {
    "sampler": "Sampled by",
    "sampling_tokens_per_s": "Sampling",
    "training_tokens_per_s": "Training",
    "sampling_s": "Time sampling",
    "rewarding_s": "Time rewarding",
    "training_s": "Time training",
    "reward": "Held-out reward",
    "votes": "Agreement with votes",
    "seconds": "Training time",
    "tokens_per_s": "Speed",
    "mfu": "Share of peak",
    "peak_flops": "Matrix peak",
    "is_compiled": "Compiled",
}


def results_of(run: Run) -> list[tuple[str, str]]:
    """Return the figures a run ended with, as a page shows them."""
    return figures(of_rlhf(run.result) | run.result)[:MAX_RESULTS]


def of_rlhf(result: dict[str, Any]) -> dict[str, Any]:
    """Return what RLHF ended with, of which the rest says nothing: time and rewards."""
    facts = result.get("rlhf")
    if not isinstance(facts, dict):
        return {}
    measured = result.get("measured") or {}
    # Each part of the reward has a curve of its own; here is what they come to.
    whole = {key: measured[key] for key in ("reward", "votes") if key in measured}
    return {name: facts.get(name) for name in RLHF} | whole


def figures(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return names in words, with figures as people read them."""
    found = []
    for name, value in values.items():
        label = RESULT_LABELS.get(name, name.replace("_", " ").capitalize())
        if name in RESULT_UNITS and value is not None:
            found.append((label, RESULT_UNITS[name](value)))
        elif name.endswith("bytes"):
            found.append((label.removesuffix(" bytes"), numbers.size(value)))
        elif name.endswith("_share"):
            found.append((label.removesuffix(" share"), numbers.percent(value)))
        elif isinstance(value, bool):
            found.append((label, "yes" if value else "no"))
        elif isinstance(value, str):
            found.append((label, value[:60]))
        elif isinstance(value, int):
            found.append((label, numbers.count(value)))
        elif isinstance(value, float):
            found.append((label, numbers.decimal(value)))
    return found
