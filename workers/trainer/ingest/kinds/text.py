"""Kind `text`: one column of plain text to pretrain on."""

from typing import Any

import pyarrow as pa
from runspec import IngestSpec

from trainer.errors import BadInputError
from trainer.ingest.errors import listed, shown
from trainer.ingest.kinds.base import Kind, Mapping, Sample, clean_text, column_value
from trainer.ingest.kinds.choosing import check_given, shapes_of
from trainer.ingest.rows import Notes

TEXT_OR_NULL = {"text", "null"}


def choose(sample: Sample, spec: IngestSpec) -> Mapping:
    """Take the column named, one called `text`, or the only one that holds text."""
    seen = sample.columns()
    given = spec.chosen_columns()
    if given:
        check_given(sample, given, shapes_of(sample.rows))
        return given
    if not seen or all("text" in columns for columns in sample.schemas()):
        return {"text": "text"}
    sample.refuse_mixture()
    likely = [name for name, types in seen.items() if "text" in types <= TEXT_OR_NULL]
    # Beside lists and objects a lone text is more likely an id than the content.
    is_flat = not any(types & {"a list", "an object"} for types in seen.values())
    if len(likely) == 1 and is_flat:
        return {"text": likely[0]}
    if not likely or not is_flat:
        held = [f"{shown(name)} ({' or '.join(sorted(seen[name]))})" for name in seen]
        raise BadInputError(
            f"{sample.file} has no clear column of text; it has {', '.join(held[:20])}",
            advice="Rows of text need a column that holds text in every row; choose "
            "it as the text column (text_column).",
        )
    raise BadInputError(
        f"{sample.file} has the columns {listed(list(seen))}: which one is the text?",
        advice="Choose one of them as the text column (text_column).",
    )


def check(
    row: Any, mapping: Mapping, max_characters: int, notes: Notes
) -> tuple[Any, ...]:
    """Return the row's text."""
    column = mapping["text"]
    return (clean_text(column_value(row, column), column, max_characters, notes),)


def check_all(
    rows: list[Any], mapping: Mapping, max_characters: int
) -> list[list[Any]] | None:
    """Return the texts of rows that are all as they should be, else nothing."""
    column = mapping["text"]
    try:
        texts = [row[column] for row in rows]
        # Joining refuses what is not text; encoding refuses half surrogate pairs.
        joined = "".join(texts)
        joined.encode()
    except (KeyError, TypeError, UnicodeEncodeError):
        return None
    if "\0" in joined or max(map(len, texts), default=0) > max_characters:
        return None
    return None if any(map(_is_blank, texts)) else [texts]


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


TEXT = Kind(
    schema=pa.schema([("text", pa.string())]),
    choose=choose,
    check=check,
    check_all=check_all,
)
