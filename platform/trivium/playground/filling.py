"""Masked texts, and what models say of them."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from runspec.serving import (
    Candidate,
    Filled,
    FillRequest,
    LoadRequest,
    ModelFacts,
    Prompt,
    Scored,
    ScoreRequest,
)

from trivium.serving.choices import ModelChoice
from trivium.serving.client import call_sync

GAP = re.compile(r"\[MASK\]|<mask>|_{3,}", re.IGNORECASE)
"""How people write a mask; each becomes the model's own."""
ask: Any = call_sync
"""Its overloads do not outlive the wrapping."""
MAX_MASKS = 20
TOP = 10


class NoMaskError(ValueError):
    """The text holds no mask, or too many of them."""


class Bar(NamedTuple):
    """One candidate, and how likely it is."""

    text: str
    share: float

    @property
    def width(self) -> str:
        """How long the bar is, of a hundred."""
        return f"{100 * self.share:.2f}"


class Gap(NamedTuple):
    """One mask: the text before it, and what may stand there."""

    before: str
    bars: list[Bar]
    turn: int
    """As which it was filled, from 1, where they were filled one after the other."""

    @property
    def best(self) -> str:
        """What stands there most likely."""
        return self.bars[0].text.strip() if self.bars else ""


class FilledText(NamedTuple):
    """A text with its gaps."""

    gaps: list[Gap]
    after: str
    """The text after the last gap."""
    sequence: str


class Score(NamedTuple):
    """What a model said of a text: shares of its labels, or one number."""

    bars: list[Bar]
    number: float | None


def facts_of(choice: ModelChoice) -> ModelFacts:
    """Load a model, and return what its node knows of it.

    Raises:
        ServingError: it cannot be loaded, or there is no node.
    """
    facts: ModelFacts = ask(choice, "/load", LoadRequest(model=choice.ref))
    return facts


def fill_masks(
    choice: ModelChoice, text: str, *, targets: Sequence[str], is_joint: bool
) -> FilledText:
    """Ask an encoder what stands behind the masks of a text.

    Raises:
        NoMaskError: there is none, or more than `MAX_MASKS`.
        ServingError: the node refused.
    """
    mask = facts_of(choice).mask_token
    if not mask:
        raise NoMaskError(f"{choice.title} knows no mask, so it cannot fill any.")
    text = GAP.sub(lambda _: mask, text)
    parts = text.split(mask)
    if not 1 < len(parts) <= MAX_MASKS + 1:
        raise NoMaskError(
            f"Put at least one mask into the text, and at most {MAX_MASKS}: press "
            f"“Mask”, or type ___ or {mask}."
        )
    request = FillRequest(
        model=choice.ref, text=text, top=TOP, targets=tuple(targets), joint=is_joint
    )
    return as_gaps(parts, ask(choice, "/fill", request))


def as_gaps(parts: list[str], filled: Filled) -> FilledText:
    """Return what was filled with the text around it."""
    turns = {mask: turn for turn, mask in enumerate(filled.order, start=1)}
    gaps = [
        Gap(before, as_bars(found), turns.get(number, 0))
        for number, (before, found) in enumerate(zip(parts, filled.masks, strict=False))
    ]
    return FilledText(gaps, parts[-1], filled.sequence)


def as_bars(candidates: Sequence[Candidate]) -> list[Bar]:
    """Return candidates with their shares."""
    return [Bar(one.text, math.exp(one.logprob)) for one in candidates]


def score_text(choice: ModelChoice, text: str, *, asked: str) -> Score:
    """Ask a classifier or a reward model about a text, or an answer to what was asked.

    Raises:
        ServingError: the node refused.
    """
    prompt = Prompt(text=text)
    if asked:
        turns = (
            {"role": "user", "content": asked},
            {"role": "assistant", "content": text},
        )
        prompt = Prompt(messages=turns)
    request = ScoreRequest(model=choice.ref, prompts=(prompt,))
    scored: Scored = ask(choice, "/score", request)
    numbers = scored.scores[0]
    if len(numbers) == 1:
        return Score([], numbers[0])
    most = max(numbers)
    weights = [math.exp(number - most) for number in numbers]
    labels = scored.labels or [f"label {at}" for at in range(len(numbers))]
    bars = [
        Bar(label, weight / sum(weights))
        for label, weight in zip(labels, weights, strict=False)
    ]
    return Score(sorted(bars, key=lambda bar: -bar.share), None)
