"""What a kind of rows is: its columns, how they are found, and what a good row is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from runspec import IngestSpec

from trainer.errors import BadInputError
from trainer.ingest.errors import BadRowError, listed, shown
from trainer.ingest.rows import Notes

MAX_SCHEMAS = 10


@dataclass(frozen=True)
class Sample:
    """The first rows of a table, by which its columns are chosen."""

    file: str
    unit: str
    places: Sequence[int]
    rows: list[Any]
    """Whatever was parsed; only dicts are rows."""

    def columns(self) -> dict[str, set[str]]:
        """Return the columns in order, each with the types of value seen."""
        seen: dict[str, set[str]] = {}
        for row in self.rows:
            if isinstance(row, dict):
                for name, value in row.items():
                    seen.setdefault(name, set()).add(type_name(value))
        return seen

    def schemas(self) -> dict[tuple[str, ...], int]:
        """Return each set of columns, with the place it was first seen at."""
        seen: dict[tuple[str, ...], int] = {}
        for place, row in zip(self.places, self.rows, strict=True):
            if isinstance(row, dict):
                seen.setdefault(tuple(sorted(row)), place)
        return seen

    def refuse_mixture(self) -> None:
        """Refuse rows of several shapes, saying which and where.

        Raises:
            BadInputError: there is more than one.
        """
        schemas = self.schemas()
        if len(schemas) < 2:
            return
        found = [
            f"{self.unit} {place}: {listed(list(columns), 8) or 'no column'}"
            for columns, place in list(schemas.items())[:MAX_SCHEMAS]
        ]
        raise BadInputError(
            f"{self.file} mixes rows with different columns ({'; '.join(found)})",
            advice="Choose one kind of rows and its columns, or split the file.",
        )


Mapping = dict[str, str]
"""From a part of a row to the column of the source that holds it."""


@dataclass(frozen=True)
class Kind:
    """One kind of rows. A new kind is a module that makes one of these."""

    schema: pa.Schema
    """The canonical columns, as they are stored."""
    choose: Callable[[Sample, IngestSpec], Mapping]
    """Finds the columns; raises BadInputError where it would have to guess."""
    check: Callable[[Any, Mapping, int, Notes], tuple[Any, ...]]
    """(row, mapping, most characters, notes) → values in the schema's order;
    raises BadRowError, or HeldBackError."""
    prompt_of: Callable[[tuple[Any, ...]], Any] | None = None
    """What of a good row is asked, without the answer, where rows have one."""
    pair_of: Callable[[tuple[Any, ...]], tuple[Any, Any]] | None = None
    """What of a good row is preferred to what; then the same, whichever way round."""
    from_text: Callable[[str], tuple[Any, ...]] | None = None
    """Makes a row of a plain text file's, where rows may be that plain."""
    splits_by_prompt: bool = False
    """Whether all rows of one prompt stand on one side of the split."""
    check_all: Callable[[list[Any], Mapping, int], list[list[Any]] | None] | None = None
    """Checks many rows at once, where nothing is wrong with any: returns columns;
    None sends them through `check` one by one. Only for speed."""


def type_name(value: object) -> str:
    """Say what a parsed value is, in JSON's words."""
    if value is None:
        return "null"
    names = {str: "text", bool: "a boolean", bytes: "bytes", dict: "an object"}
    if type(value) in names:
        return names[type(value)]
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else type(value).__name__


def column_value(row: Any, column: str) -> Any:
    """Return what a row holds in a column; `a.b` is `b` inside of `a`.

    Raises:
        BadRowError: it is no row, or has no such column.
    """
    if not isinstance(row, dict):
        raise BadRowError(f"expected an object, found {type_name(row)}")
    if column in row:
        return row[column]
    value: Any = row
    for step in column.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            has = f"it has {listed(list(row), 8)}" if row else "it has none"
            raise BadRowError(f"no column {shown(column)}; {has}")
    return value


def optional_text(
    row: Any, mapping: Mapping, part: str, most: int, notes: Notes
) -> str | None:
    """Return the text of a part a row may lack, or nothing where it is blank.

    Raises:
        BadRowError: there is something else than text.
    """
    column = mapping.get(part)
    if column is None:
        return None
    try:
        value = column_value(row, column)
    except BadRowError:
        return None
    if value is None or (isinstance(value, str) and not value.strip("\0 \t\r\n")):
        return None
    return clean_text(value, column, most, notes)


def required_texts(
    row: Any, mapping: Mapping, parts: Sequence[str], most: int, notes: Notes
) -> list[str]:
    """Return the texts of parts that every row must have.

    Raises:
        BadRowError: some are missing or not text; all of them are named.
    """
    texts, wrong = [], []
    for part in parts:
        try:
            value = column_value(row, mapping[part])
            texts.append(clean_text(value, mapping[part], most, notes))
        except BadRowError as error:
            wrong.append(str(error))
    if wrong:
        raise BadRowError(", and ".join(dict.fromkeys(wrong)))
    return texts


def clean_text(value: Any, column: str, max_characters: int, notes: Notes) -> str:
    """Return a value as text that can be stored and trained on.

    Raises:
        BadRowError: it is not text, empty, too long, or cannot be UTF-8.
    """
    if isinstance(value, bytes):
        value = _decoded(value, column)
        notes.add(f"column {shown(column)} is binary and was decoded as UTF-8")
    if not isinstance(value, str):
        raise BadRowError(f"{shown(column)} is {type_name(value)}, expected text")
    if "\0" in value:
        value = value.replace("\0", "")
        notes.add("NUL characters were removed from rows")
    if not value or value.isspace():
        raise BadRowError(f"{shown(column)} is empty")
    if len(value) > max_characters:
        raise BadRowError(
            f"{shown(column)} has {len(value):,} characters; the limit is "
            f"{max_characters:,} (max_row_characters)"
        )
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            code = ord(value[error.start])
            raise BadRowError(
                f"{shown(column)} holds half a surrogate pair (\\u{code:04x}) at "
                f"character {error.start + 1}"
            ) from error
    return str(value)


def _decoded(value: bytes, column: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadRowError(
            f"{shown(column)} is not UTF-8 at its byte {error.start}"
        ) from error
