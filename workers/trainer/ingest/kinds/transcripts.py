"""Conversations written as one text, as in hh-rlhf: `Human: …`, `Assistant: …`."""

import re
from typing import Any

from trainer.ingest.errors import BadRowError, shown
from trainer.ingest.kinds.messages import Turn, text_turn

MARKER = re.compile(r"(?:\A\s*|\r?\n\r?\n)(Human|Assistant):")
ANSWER = re.compile(r"\n\r?\nAssistant:")
ROLES = {"Human": "user", "Assistant": "assistant"}


def is_transcript(value: Any) -> bool:
    """Whether a value is a text in which first a human and then an assistant speaks."""
    if not isinstance(value, str) or not value[:20].lstrip().startswith("Human:"):
        return False
    return ANSWER.search(value) is not None


def read_transcript(text: str, column: str) -> list[Turn]:
    """Return the turns of a transcript, without the white space around them.

    Raises:
        BadRowError: it has no marks of turns, or a turn says nothing.
    """
    pieces = MARKER.split(text)
    if len(pieces) < 2 or pieces[0].strip():
        raise BadRowError(
            f"{shown(column)} is no transcript: it does not begin with “Human:”, and "
            "other rows do"
        )
    turns = []
    for number, (name, said) in enumerate(
        zip(pieces[1::2], pieces[2::2], strict=True), start=1
    ):
        role = ROLES[name]
        if not said.strip():
            raise BadRowError(f"{shown(column)}: turn {number}, the {role}'s, is empty")
        turns.append(text_turn(role, said.strip()))
    if turns[-1]["role"] != "assistant":
        raise BadRowError(f"{shown(column)} does not end with the assistant's turn")
    return turns
