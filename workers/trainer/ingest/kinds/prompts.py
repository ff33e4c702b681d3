"""Kind `prompts`: what is asked, without what shall be answered."""

from typing import Any

import pyarrow as pa

from trainer.ingest.errors import BadRowError, shown
from trainer.ingest.kinds.base import (
    Kind,
    Mapping,
    clean_text,
    column_value,
    optional_text,
)
from trainer.ingest.kinds.choosing import chooser, is_instruction
from trainer.ingest.kinds.conversations import check_order
from trainer.ingest.kinds.messages import TURN, Turn, is_turns, read_turns, text_turn
from trainer.ingest.rows import Notes

MAX_CATEGORY = 200


def check(
    row: Any, mapping: Mapping, max_characters: int, notes: Notes
) -> tuple[Any, ...]:
    """Return the turns up to the user's last, and what is known of the answer."""
    prompt, is_chat = _asked(row, mapping, max_characters, notes)
    system = optional_text(row, mapping, "system", max_characters, notes)
    if system and prompt[0]["role"] != "system":
        prompt.insert(0, text_turn("system", system))
        is_chat = True
    if is_chat and check_order(prompt, notes) not in {"user", "tool"}:
        raise BadRowError(
            f"the last turn is the {prompt[-1]['role']}'s; a prompt ends with the "
            "user's"
        )
    size = sum(len(turn["content"]) for turn in prompt)
    if size > max_characters:
        raise BadRowError(
            f"the prompt has {size:,} characters; the limit is {max_characters:,} "
            "(max_row_characters)"
        )
    answer = _written(row, mapping, "answer", max_characters, notes)
    category = _written(row, mapping, "category", max_characters, notes)
    if category is not None and len(category) > MAX_CATEGORY:
        raise BadRowError(
            f"{shown(mapping['category'])} has {len(category):,} characters; a "
            f"category has at most {MAX_CATEGORY}"
        )
    return prompt, is_chat, answer, category


def _asked(
    row: Any, mapping: Mapping, most: int, notes: Notes
) -> tuple[list[Turn], bool]:
    """Return the prompt, and whether it is a conversation."""
    column = mapping["prompt"]
    value = column_value(row, column)
    added = optional_text(row, mapping, "input", most, notes)
    if is_turns(value) or isinstance(value, list):
        if added is not None:
            raise BadRowError("an input goes below a prompt in text, not below turns")
        return read_turns(value, column, most, notes), True
    text = clean_text(value, column, most, notes)
    if added is not None:
        text = f"{text}\n\n{added}"
    return [text_turn("user", text)], is_instruction(column)


def _written(
    row: Any, mapping: Mapping, part: str, most: int, notes: Notes
) -> str | None:
    """Return what a row may say of a part; numbers and booleans are written out."""
    column = mapping.get(part)
    if column is None:
        return None
    try:
        value = column_value(row, column)
    except BadRowError:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    if isinstance(value, float):
        return str(value)
    return optional_text(row, mapping, part, most, notes)


def from_text(text: str) -> tuple[Any, ...]:
    """Return a row of a plain text file."""
    return [text_turn("user", text)], False, None, None


def prompt_of(values: tuple[Any, ...]) -> Any:
    """Return what is asked."""
    return values[0]


PROMPTS = Kind(
    schema=pa.schema(
        [
            ("prompt", pa.list_(TURN)),
            ("is_chat", pa.bool_()),
            ("answer", pa.string()),
            ("category", pa.string()),
        ]
    ),
    choose=chooser("prompts"),
    check=check,
    prompt_of=prompt_of,
    from_text=from_text,
    splits_by_prompt=True,
)
