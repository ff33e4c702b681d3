"""Kind `text-to-text`: one text and the one it becomes, for encoder-decoders."""

from typing import Any

import pyarrow as pa

from trainer.ingest.kinds.base import Kind, Mapping, required_texts
from trainer.ingest.kinds.choosing import chooser
from trainer.ingest.rows import Notes


def check(
    row: Any, mapping: Mapping, max_characters: int, notes: Notes
) -> tuple[Any, ...]:
    """Return the two texts."""
    return tuple(
        required_texts(row, mapping, ("prompt", "completion"), max_characters, notes)
    )


def prompt_of(values: tuple[Any, ...]) -> Any:
    """Return what the second text is made of."""
    return values[0]


TEXT_TO_TEXT = Kind(
    schema=pa.schema([("prompt", pa.string()), ("completion", pa.string())]),
    choose=chooser("text-to-text"),
    check=check,
    prompt_of=prompt_of,
)
