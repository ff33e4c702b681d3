"""Kind `labelled`: a text and the class it belongs to."""

from typing import Any

import pyarrow as pa

from trainer.ingest.errors import BadRowError, shown
from trainer.ingest.kinds.base import (
    Kind,
    Mapping,
    clean_text,
    column_value,
    required_texts,
)
from trainer.ingest.kinds.choosing import chooser
from trainer.ingest.rows import Notes

MAX_LABEL = 200


def check(
    row: Any, mapping: Mapping, max_characters: int, notes: Notes
) -> tuple[Any, ...]:
    """Return the text and its label as text: 1, true and "1" are labels too."""
    [text] = required_texts(row, mapping, ("text",), max_characters, notes)
    column = mapping["label"]
    value = column_value(row, column)
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        value = str(int(value))
    label = clean_text(value, column, max_characters, notes).strip()
    if len(label) > MAX_LABEL:
        raise BadRowError(
            f"{shown(column)} has {len(label):,} characters; a label has at most "
            f"{MAX_LABEL}"
        )
    return text, label


def prompt_of(values: tuple[Any, ...]) -> Any:
    """Return what is judged."""
    return values[0]


LABELLED = Kind(
    schema=pa.schema([("text", pa.string()), ("label", pa.string())]),
    choose=chooser("labelled"),
    check=check,
    prompt_of=prompt_of,
)
