"""What shows whether RLHF goes well: curves that belong together, with their limits,
and the same prompts answered again and again."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from runspec import RlhfSpec, parse_spec

from trivium.runs.models import Run, Sample

MAX_COLUMNS = 6
MAX_PROMPTS = 12
TITLES: dict[str, tuple[str, ...]] = {
    "Reward": ("train/reward", "validation/reward"),
    "Reward by part": ("train/reward/", "validation/reward/"),
    "KL to the reference": ("train/kl",),
    "Entropy": ("train/entropy",),
    "Length of answers": ("train/length", "validation/length"),
    "Answers that are cut": ("train/cut_share",),
    "Spread of advantages": ("train/advantage_std",),
    "Ratios that are clipped": ("train/clip_share",),
    "Gradient norm": ("train/gradient_norm",),
    "Agreement with human votes": ("validation/votes", "validation/votes_reward"),
    "Tokens/s of sampling and training": ("sample/tokens_per_s", "train/tokens_per_s"),
    "Loss": ("train/loss", "validation/loss"),
}
"""Charts in their order, with the curves of each; / at an end stands for all below."""
LIMITS = {
    "KL to the reference": ("max_kl",),
    "Entropy": ("min_entropy",),
    "Length of answers": ("min_length", "max_length"),
    "Answers that are cut": ("max_cut_share",),
}
"""Settings that pause a run, by the chart in which they are drawn."""


class Answered(NamedTuple):
    """One prompt, as it was answered at several evaluations."""

    prompt: str
    answers: list[Sample | None]
    """One for each column; None where it was not asked then."""

    @property
    def newest(self) -> Sample:
        """Its last answer."""
        return next(one for one in reversed(self.answers) if one is not None)


class SideBySide(NamedTuple):
    """Prompts down, evaluations across."""

    steps: list[int]
    num_left_out: int
    """Evaluations in between that are not shown."""
    rows: list[Answered]


def spec_of(run: Run) -> RlhfSpec | None:
    """Return the spec of an RLHF run; None of any other."""
    if run.kind != Run.Kind.RLHF:
        return None
    try:
        spec = parse_spec(run.spec)
    except ValueError:
        return None
    return spec if isinstance(spec, RlhfSpec) else None


def grouped(names: list[str]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Return the charts there are curves for, and the curves of none."""
    charts = []
    left = list(names)
    for title, wanted in TITLES.items():
        found = [name for name in left if any(belongs(name, one) for one in wanted)]
        # What is trained on is drawn first, so that validation dots lie above it.
        found.sort(key=lambda name: (name.startswith("validation/"), name))
        left = [name for name in left if name not in found]
        if found:
            charts.append((title, found))
    return charts, left


def belongs(name: str, wanted: str) -> bool:
    """Whether a curve is one that is wanted."""
    return name.startswith(wanted) if wanted.endswith("/") else name == wanted


def limits_in(spec: RlhfSpec, title: str) -> list[dict[str, Any]]:
    """Return the limits of a chart that pause the run, with what they are called."""
    found = []
    for name in LIMITS.get(title, ()):
        value = getattr(spec, name)
        if value is not None:
            kind = name[:3]
            what = {"min": "below", "max": "above"}[kind]
            text = f"pauses {what} {value:g}"
            found.append({"value": value, "text": text, "kind": kind})
    return found


def side_by_side(samples: Iterable[Sample]) -> SideBySide:
    """Return samples as a table: of many evaluations some, first and last among them.

    Of a prompt that was answered twice at a step, in two attempts, the newer counts.
    """
    by_prompt: dict[str, dict[int, Sample]] = {}
    for one in samples:
        by_prompt.setdefault(one.prompt, {})[one.step] = one
    every = sorted({step for answers in by_prompt.values() for step in answers})
    steps = spread(every, MAX_COLUMNS)
    rows = [
        Answered(prompt, [answers.get(step) for step in steps])
        for prompt, answers in by_prompt.items()
        if any(step in answers for step in steps)
    ]
    return SideBySide(steps, len(every) - len(steps), rows[:MAX_PROMPTS])


def spread(steps: list[int], most: int) -> list[int]:
    """Return at most so many steps, the first and the last among them."""
    if len(steps) <= most:
        return steps
    last = len(steps) - 1
    return [steps[round(at * last / (most - 1))] for at in range(most)]
