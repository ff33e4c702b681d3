"""Kind `instructions`: a prompt and the completion to learn, with or without system."""

from typing import Any

import pyarrow as pa

from trainer.ingest.kinds.base import Kind, Mapping, optional_text, required_texts
from trainer.ingest.kinds.choosing import chooser
from trainer.ingest.rows import Notes


def check(
    row: Any, mapping: Mapping, max_characters: int, notes: Notes
) -> tuple[Any, ...]:
    """Return prompt, completion and system; an Alpaca `input` ends the prompt."""
    prompt, completion = required_texts(
        row, mapping, ("prompt", "completion"), max_characters, notes
    )
    if added := optional_text(row, mapping, "input", max_characters, notes):
        prompt = f"{prompt}\n\n{added}"
    system = optional_text(row, mapping, "system", max_characters, notes)
    return prompt, completion, system


def prompt_of(values: tuple[Any, ...]) -> Any:
    """Return what the completion answers."""
    prompt, _, system = values
    return prompt, system


INSTRUCTIONS = Kind(
    schema=pa.schema(
        [("prompt", pa.string()), ("completion", pa.string()), ("system", pa.string())]
    ),
    choose=chooser("instructions"),
    check=check,
    prompt_of=prompt_of,
)
