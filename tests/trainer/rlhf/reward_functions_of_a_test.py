"""What an admin may register."""

from typing import Any


def vowels(_prompts: Any, answers: list[str], _references: list[str]) -> list[float]:
    return [sum(one in "aeiou" for one in text) for text in answers]


def broken(_prompts: Any, _answers: list[str], _references: list[str]) -> list[float]:
    return [1.0]
