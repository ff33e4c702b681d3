"""CSV and TSV: the first row names the columns."""

import csv
from collections.abc import Iterator
from typing import Literal, Protocol

from trainer.errors import BadInputError
from trainer.ingest.encoding import Utf8, not_utf8
from trainer.ingest.errors import listed
from trainer.ingest.formats.lines import whole_lines
from trainer.ingest.rows import Batch, Notes

BATCH_ROWS = 1000
OTHER_SEPARATORS = {";": "semicolon", "\t": "tab", "|": "bar"}


Header = Literal["auto", "yes", "no"]
MAX_NAME_IN_HEADER = 100
"""A longer field in the first line is a value, not the name of a column."""


class CsvReader(Protocol):
    """What the csv module reads with."""

    line_num: int

    def __next__(self) -> list[str]:
        """Return the fields of the next row."""


def read_csv(
    source: Utf8, name: str, notes: Notes, *, max_bytes: int, header: Header = "auto"
) -> Iterator[Batch]:
    """Parse RFC 4180, separated by what the header is separated by."""
    separator = _separator(source)
    if separator != ",":
        notes.add(f"{name} is read as separated by {OTHER_SEPARATORS[separator]}s")
    reader = _reader(source, name, separator, csv.QUOTE_MINIMAL, max_bytes)
    return _read(reader, name, notes, header)


def read_tsv(
    source: Utf8, name: str, notes: Notes, *, max_bytes: int, header: Header = "auto"
) -> Iterator[Batch]:
    """Parse tab-separated values, in which a quote is a character like others."""
    reader = _reader(source, name, "\t", csv.QUOTE_NONE, max_bytes)
    return _read(reader, name, notes, header)


def _separator(source: Utf8) -> str:
    """Return the comma, unless the header has none and another one instead."""
    header = source.head.partition(b"\n")[0].decode(errors="replace")
    unquoted = "".join(header.split('"')[::2])
    if "," in unquoted:
        return ","
    return next((mark for mark in OTHER_SEPARATORS if mark in unquoted), ",")


class _Lines:
    """Feeds lines to the csv module, which counts them."""

    def __init__(self, source: Utf8, name: str, max_bytes: int) -> None:
        self._pieces = whole_lines(source, name=name, max_bytes=max_bytes)
        self._name = name
        self._offset = source.offset
        self._line = 1

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            try:
                text = piece.decode()
            except UnicodeDecodeError as error:
                where = not_utf8(error, offset=self._offset, line=self._line)
                raise BadInputError(
                    f"{self._name}: {where}", advice="Convert the file to UTF-8."
                ) from error
            if "\0" in text:
                line = self._line + text.count("\n", 0, text.index("\0"))
                raise BadInputError(
                    f"{self._name}: line {line} holds a NUL character: this looks "
                    "like a binary file, or UTF-16 without its mark",
                    advice="Convert the file to UTF-8 and remove NUL characters.",
                )
            self._offset += len(piece)
            self._line += piece.count(b"\n")
            lines = text.split("\n")
            last = lines.pop()
            yield from (line + "\n" for line in lines)
            if last:
                yield last


def _reader(
    source: Utf8, name: str, separator: str, quoting: Literal[0, 3], max_bytes: int
) -> CsvReader:
    csv.field_size_limit(max_bytes)
    return csv.reader(
        _Lines(source, name, max_bytes),
        delimiter=separator,
        quoting=quoting,
        strict=True,
    )


def _read(
    reader: CsvReader, name: str, notes: Notes, header: Header
) -> Iterator[Batch]:
    first = _first_row(reader, name)
    batch, places, size = Batch(), [], 0
    if header == "no" or (header == "auto" and _is_no_header(first)):
        columns = [f"column {number}" for number in range(1, len(first) + 1)]
        if header == "auto":
            notes.add(
                f"{name}: the first line reads like a row, not like names; the columns "
                "were numbered"
            )
        batch.values.append(dict(zip(columns, first, strict=True)))
        places.append(1)
    else:
        columns = _header(first, name)
    width = len(columns)
    line = reader.line_num + 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            batch.bad.append((line, _csv_reason(error)))
            line = reader.line_num + 1
            continue
        if len(fields) == width:
            batch.values.append(dict(zip(columns, fields, strict=True)))
            places.append(line)
            size += sum(map(len, fields))
        elif fields:
            found = f"{len(fields)} field" + ("s" if len(fields) != 1 else "")
            batch.bad.append((line, f"{found}, but the header has {width}"))
        line = reader.line_num + 1
        if len(places) == BATCH_ROWS or size > 2**20 or len(batch.bad) == BATCH_ROWS:
            batch.places = places
            yield batch
            batch, places, size = Batch(), [], 0
    batch.places = places
    yield batch


def _csv_reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end of data" in text or "field larger" in text:
        return "a quote opened here is never closed"
    if "new-line character" in text:
        return "a bare carriage return stands outside quotes"
    return f"not CSV: {text}"


def _first_row(reader: CsvReader, name: str) -> list[str]:
    try:
        return next(reader)
    except StopIteration:
        raise BadInputError(f"{name} has no header row") from None
    except csv.Error as error:
        raise BadInputError(f"{name}: header: {_csv_reason(error)}") from error


def _is_no_header(fields: list[str]) -> bool:
    return any(len(field) > MAX_NAME_IN_HEADER for field in fields)


def _header(columns: list[str], name: str) -> list[str]:
    columns = [column.strip() for column in columns]
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise BadInputError(
            f"{name} has more than one column named {listed(sorted(set(twice)))}",
            advice="Give each column a name of its own.",
        )
    return columns
