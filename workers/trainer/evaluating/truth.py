"""What is right, where the world asked about is known."""

from functools import cache
from typing import NamedTuple

from runspec.labels import Messages
from tinyworld import Judge, Quality, admits, declines, world
from tinyworld.judging import ANSWERABLE, Subject


class Verdict(NamedTuple):
    """What known truth says of one answer."""

    quality: int
    is_right: bool
    """Right, where there is an answer; else admitted, or declined."""
    is_refusal: bool
    """Whether it admits not to know, or declines."""


@cache
def judge() -> Judge:
    """Return who knows Tiny World."""
    return Judge(world())


def subject_of(turns: Messages) -> Subject | None:
    """Return what a prompt is about; None where it is none of Tiny World's."""
    asked = [turn["content"] for turn in turns if turn["role"] != "system"]
    if len(asked) != 1:
        return None
    try:
        return judge().subject(asked[0])
    except ValueError:
        return None


def verdict_on(turns: Messages, subject: Subject, answer: str) -> Verdict:
    """Mark an answer to a prompt of Tiny World."""
    asked = next(turn["content"] for turn in turns if turn["role"] != "system")
    quality = judge().quality(asked, answer)
    if subject in ANSWERABLE:
        is_right = quality >= Quality.FAIR
    else:
        is_right = admits(answer) if subject == "stranger" else declines(answer)
    return Verdict(int(quality), is_right, admits(answer) or declines(answer))
