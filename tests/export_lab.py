"""Comparisons and votes, written as the supervisor writes them."""

from typing import Any

MOMENT = "2026-11-25T10:00:00Z"


def vote(number: int, choice: str, **changes: Any) -> dict[str, Any]:
    """One vote of labeler `l<number>`."""
    return {
        "id": number,
        "annotator": f"l{number}",
        "choice": choice,
        "shown_left": "a",
        "ms_active": 1500,
        "created": MOMENT,
    } | changes


def pair(
    number: int, prompt: Any, answers: tuple[str, str], votes: list[Any], **changes: Any
) -> dict[str, Any]:
    """One comparison of models `one` and `two`."""
    return {
        "id": number,
        "prompt": prompt,
        "answer_a": {"model": "one", "text": answers[0]},
        "answer_b": {"model": "two", "text": answers[1]},
        "votes": votes,
    } | changes


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]
