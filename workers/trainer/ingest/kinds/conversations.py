"""Kind `conversations`: turns of a system, a user, an assistant and its tools.

A conversation in which the assistant says nothing teaches nothing. Where others have
answers it is a bad row; where none has, the file may have been meant like that: the
rows are kept, and whoever wants to learn from them is told before training.
"""

from typing import Any

import pyarrow as pa

from trainer.ingest.errors import BadRowError, HeldBackError, shown
from trainer.ingest.kinds.base import Kind, Mapping, column_value, optional_text
from trainer.ingest.kinds.choosing import chooser
from trainer.ingest.kinds.messages import (
    TURN,
    Turn,
    as_json_list,
    best_path,
    is_tree,
    read_turns,
)
from trainer.ingest.rows import Notes

UNANSWERED = "nobody answers: it has no assistant turn"


def check(
    row: Any, mapping: Mapping, max_characters: int, notes: Notes
) -> tuple[Any, ...]:
    """Return the turns in order, and the tools as JSON."""
    turns = _turns(row, mapping, max_characters, notes)
    system = optional_text(row, mapping, "system", max_characters, notes)
    if system and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": system, "tool_calls": None})
    if check_order(turns, notes) != "assistant":
        notes.add("some conversations end with a turn that nobody answers")
    size = sum(len(turn["content"]) for turn in turns)
    if size > max_characters:
        raise BadRowError(
            f"the conversation has {size:,} characters; the limit is "
            f"{max_characters:,} (max_row_characters)"
        )
    values = turns, _tools(row, mapping)
    if all(turn["role"] != "assistant" for turn in turns):
        raise HeldBackError(UNANSWERED, values)
    return values


def _turns(row: Any, mapping: Mapping, most: int, notes: Notes) -> list[Turn]:
    if "messages" not in mapping:
        asked, answered = mapping["prompt"], mapping["completion"]
        return [
            *read_turns(column_value(row, asked), asked, most, notes, alone="user"),
            *read_turns(
                column_value(row, answered), answered, most, notes, alone="assistant"
            ),
        ]
    column = mapping["messages"]
    value = column_value(row, column)
    if is_tree(value):
        notes.add(
            "each tree of replies became one conversation: the best-ranked reply at "
            "every turn, up to the assistant's last one"
        )
        value = best_path(value)
    return read_turns(value, column, most, notes)


def check_order(turns: list[Turn], notes: Notes) -> str:
    """Refuse turns in an order that no template could write; return who ends.

    Raises:
        BadRowError: the first such turn is named.
    """
    before = ""
    for number, turn in enumerate(turns, start=1):
        role = turn["role"]
        if role == "system" and before:
            raise BadRowError(f"turn {number} is the system's; only the first may be")
        if role in {"assistant", "tool"} and before in {"", "system"}:
            raise BadRowError(f"turn {number} is the {role}'s, before any of the user")
        if role == "tool" and before == "user":
            raise BadRowError(f"turn {number} is a tool's answer, but nobody called it")
        if role == before and role in {"user", "assistant"}:
            notes.add(
                "some conversations have two turns of the same role in a row; a chat "
                "template may refuse them"
            )
        before = role
    return before


def _tools(row: Any, mapping: Mapping) -> str | None:
    column = mapping.get("tools")
    if column is None:
        return None
    try:
        value = column_value(row, column)
    except BadRowError:
        return None
    if value in (None, "", []):
        return None
    text = as_json_list(value)
    if text is None:
        raise BadRowError(f"{shown(column)} is no list of tools")
    return text


def prompt_of(values: tuple[Any, ...]) -> Any:
    """Return all turns before the assistant's last one."""
    turns = values[0]
    last = max(
        (at for at, turn in enumerate(turns) if turn["role"] == "assistant"),
        default=len(turns),
    )
    return turns[:last]


CONVERSATIONS = Kind(
    schema=pa.schema([("messages", pa.list_(TURN)), ("tools", pa.string())]),
    choose=chooser("conversations"),
    check=check,
    prompt_of=prompt_of,
)
