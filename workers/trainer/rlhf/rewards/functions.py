"""Reward functions: rules that need no model. Each judges one answer, mostly 0 to 1."""

import json
import re
from collections.abc import Callable
from functools import cache

import regex
from runspec.rewards import (
    CustomReward,
    ExactReward,
    FormatReward,
    LengthReward,
    PatternReward,
    RewardFunction,
    TinyWorldReward,
)

from trainer.rlhf.prompts import Asked
from trainer.rlhf.rewards.custom import custom_judge
from trainer.rlhf.rewards.judging import Judge

MATCH_S = 0.1
"""Seconds a regular expression may search one answer."""
RUN = 3
"""Words in a run that counts as repeated."""
SUM = re.compile(r"(-?\d+)\s*\+\s*(-?\d+)")
NUMBER = re.compile(r"-?\d+")
BULLET = re.compile(r"\s*(?:[-*•]|\d+[.)])\s+\S")
SENTENCE = re.compile(r"[^\W\d_a-z].*[.!?][\"')\]]?", re.DOTALL)

JudgeOne = Callable[[Asked, str], float]


def judge_of(function: RewardFunction) -> Judge:
    """Return what carries out a reward function of a spec.

    Raises:
        BadInputError: it is a function that no admin has registered here.
    """
    match function:
        case LengthReward():
            return each(lambda _, text: in_band(text, function))
        case FormatReward():
            holds = FORMS[function.form]
            return each(lambda _, text: float(holds(text)))
        case PatternReward():
            return each(finder(function))
        case ExactReward():
            return each(is_right)
        case TinyWorldReward():
            return each(world_judge(function.seed))
        case CustomReward():
            return custom_judge(function.function)
    raise AssertionError(function.name)


def each(judge: JudgeOne) -> Judge:
    """Return a judge of many answers, by one that judges one."""
    return lambda asked, answers: [
        judge(one, text) for one, text in zip(asked, answers, strict=True)
    ]


def in_band(text: str, band: LengthReward) -> float:
    """Return 1 for a length within the band; each word beyond takes a share of it."""
    words = len(text.split())
    beyond = max(band.minimum - words, words - band.maximum, 0)
    edge = band.minimum if words < band.minimum else band.maximum
    return max(0.0, 1 - beyond / max(1, edge))


def is_sentence(text: str) -> bool:
    """Whether a text begins with a capital and ends as sentences do."""
    return SENTENCE.fullmatch(text.strip()) is not None


def is_one_line(text: str) -> bool:
    """Whether a text has words, and no line break."""
    return bool(text.strip()) and "\n" not in text.strip()


def has_bullets(text: str) -> bool:
    """Whether every line, of two or more, begins with a bullet or a number."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(BULLET.match(line) for line in lines)


def is_json(text: str) -> bool:
    """Whether a text is a JSON value."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def freshness(text: str) -> float:
    """Return the share of runs of three words that are not repeated; 0 of no words."""
    words = text.lower().split()
    if not words:
        return 0.0
    runs = [tuple(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1))]
    return len(set(runs)) / len(runs)


FORMS: dict[str, Callable[[str], float]] = {
    "sentence": is_sentence,
    "one_line": is_one_line,
    "bullets": has_bullets,
    "json": is_json,
    "no_repetition": freshness,
}


def finder(function: PatternReward) -> JudgeOne:
    """Return what looks for a pattern; one that takes too long is not found."""
    pattern = regex.compile(function.pattern)
    look = pattern.fullmatch if function.whole else pattern.search

    def found(_: Asked, text: str) -> float:
        try:
            return float(look(text, timeout=MATCH_S) is not None)
        except TimeoutError:
            return 0.0

    return found


def is_right(asked: Asked, text: str) -> float:
    """Return 1 for the right answer: of a sum, or the one the dataset gives."""
    if summands := SUM.search(asked.text):
        numbers = NUMBER.findall(text)
        total = int(summands[1]) + int(summands[2])
        return float(bool(numbers) and int(numbers[-1]) == total)
    return float(bool(asked.reference) and folded(text) == folded(asked.reference))


def can_be_right(asked: Asked) -> bool:
    """Whether it is known what a right answer is."""
    return bool(asked.reference or SUM.search(asked.text))


def folded(text: str) -> str:
    """Return a text without what `is_right` does not look at."""
    return " ".join(text.casefold().split())


@cache
def judge_of_world(seed: int) -> "object":
    """Return what knows a Tiny World, made once."""
    from tinyworld import Judge as WorldJudge
    from tinyworld import world

    return WorldJudge(world(seed))


def world_judge(seed: int) -> JudgeOne:
    """Return what marks answers by a world's facts; a foreign prompt gets 0."""
    from tinyworld import Judge as WorldJudge
    from tinyworld import Quality

    judge = judge_of_world(seed)
    assert isinstance(judge, WorldJudge)

    def mark(asked: Asked, text: str) -> float:
        try:
            return judge.quality(asked.text, text) / Quality.GOOD
        except ValueError:
            return 0.0

    return mark


def can_world(seed: int, asked: Asked) -> bool:
    """Whether a prompt is one of a world's."""
    from tinyworld import Judge as WorldJudge

    judge = judge_of_world(seed)
    assert isinstance(judge, WorldJudge)
    try:
        judge.subject(asked.text)
    except ValueError:
        return False
    return True


def can_judge(function: RewardFunction, asked: Asked) -> bool:
    """Whether a function can tell answers to a prompt apart at all."""
    match function:
        case ExactReward():
            return can_be_right(asked)
        case TinyWorldReward():
            return can_world(function.seed, asked)
    return True
