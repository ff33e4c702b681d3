"""From one data file to batches of checked rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
from runspec import IngestSpec

from trainer.errors import BadInputError
from trainer.ingest.encoding import Utf8
from trainer.ingest.errors import BadRowError, BadRows
from trainer.ingest.files import DataFile, spool
from trainer.ingest.formats.jsonl import (
    ArrayReader,
    read_json_lines,
    starts_json_array,
    starts_json_lines,
)
from trainer.ingest.formats.parquet import ParquetReader
from trainer.ingest.formats.table import read_csv, read_tsv
from trainer.ingest.formats.txt import TextReader
from trainer.ingest.kinds import KINDS, Kind
from trainer.ingest.kinds.base import Mapping, Sample
from trainer.ingest.limits import Budget
from trainer.ingest.rows import Batch, Notes

PARQUET_SAMPLE = 256


@dataclass
class Reading:
    """What all files of one source share."""

    spec: IngestSpec
    folder: Path
    budget: Budget
    notes: Notes
    bad: BadRows
    num_cut: int = 0
    is_text_file: bool = False
    """Whether rows come from plain text rather than a table."""

    @property
    def kind(self) -> Kind:
        """What the rows shall be."""
        return KINDS[self.spec.dataset_kind]

    @property
    def max_element_bytes(self) -> int:
        """The longest line or element worth parsing: all of it escaped, and more."""
        return 12 * self.spec.max_row_characters + 2**20


Rows = tuple[pa.RecordBatch, list[bytes]]
"""Good rows in canonical columns, and for each the bytes that identify it."""


def read_rows(file: DataFile, reading: Reading) -> Iterator[Rows]:
    """Return the good rows of a file, and note the bad ones.

    Raises:
        BadInputError: the file as a whole cannot be read.
    """
    if file.file_format == "parquet":
        yield from _parquet_rows(file, reading)
        return
    source = Utf8(file.chunks, file.name)
    reading.notes.add(source.note)
    if file.file_format == "txt":
        yield from _text_rows(file, source, reading)
        return
    yield from _table_rows(file, _table_batches(file, source, reading), reading)


def _table_batches(file: DataFile, source: Utf8, reading: Reading) -> Iterator[Batch]:
    name, most = file.name, reading.max_element_bytes
    if file.file_format == "csv":
        return read_csv(source, name, reading.notes, max_bytes=most)
    if file.file_format == "tsv":
        return read_tsv(source, name, max_bytes=most)
    if file.file_format == "json" and not source.head.lstrip().startswith(b"["):
        if not starts_json_lines(source):
            raise BadInputError(
                f"{name} is not a JSON array of rows",
                advice="Send an array of objects, or JSON lines.",
            )
        reading.notes.add(f"{name} holds JSON lines, and was read as such")
    elif file.file_format == "json" or starts_json_array(source):
        if file.file_format == "jsonl":
            reading.notes.add(f"{name} is a JSON array, and was read as one")
        return ArrayReader(source, name, max_bytes=most).batches()
    return read_json_lines(source, name, max_bytes=most)


def _text_rows(file: DataFile, source: Utf8, reading: Reading) -> Iterator[Rows]:
    if reading.spec.dataset_kind != "text":
        raise BadInputError(
            f"{file.name} is plain text; rows of {reading.spec.dataset_kind} need a "
            "table (jsonl, json, csv, tsv or parquet)"
        )
    reading.is_text_file = True
    reader = TextReader(
        source,
        file.name,
        rows=reading.spec.text_rows,
        max_characters=reading.spec.max_row_characters,
    )
    for batch in reader.batches(reading.notes):
        reading.num_cut += batch.num_cut
        column = pa.array(batch.rows, pa.binary()).cast(pa.string())
        columns = pa.RecordBatch.from_arrays([column], schema=reading.kind.schema)
        yield columns, batch.rows


def _parquet_rows(file: DataFile, reading: Reading) -> Iterator[Rows]:
    path = file.path or spool(file.chunks, reading.folder)
    try:
        reader = ParquetReader(path, file.name, reading.budget)
        first = next(reader.batches(reader.schema.names), Batch(unit="row"))
        sample = Sample(file.name, "row", first.places, first.values)
        if not first.values:
            return
        mapping = reading.kind.choose(sample, reading.spec)
        if file.path is not None:
            size = path.stat().st_size
            reading.budget.position = lambda: size * reader.done // reader.num_rows
        wanted = [name for name in reader.schema.names if name in mapping.values()]
        for batch in reader.batches(wanted):
            yield from _checked(file, batch, mapping, reading)
    finally:
        if file.path is None:
            path.unlink()


def _table_rows(
    file: DataFile, batches: Iterator[Batch], reading: Reading
) -> Iterator[Rows]:
    mapping: Mapping | None = None
    waiting: list[Batch] = []
    for batch in batches:
        waiting.append(batch)
        # Rows that cannot be parsed say nothing about columns.
        if mapping is None and any(isinstance(row, dict) for row in batch.values):
            sample = Sample(file.name, batch.unit, batch.places, batch.values)
            mapping = _choose(sample, reading, waiting)
        if mapping is not None:
            yield from _all_checked(file, waiting, mapping, reading)
            waiting = []
    yield from _all_checked(file, waiting, mapping or {"text": "text"}, reading)


def _choose(sample: Sample, reading: Reading, waiting: list[Batch]) -> Mapping:
    """Choose columns; where that fails, name also the lines that are no rows."""
    try:
        return reading.kind.choose(sample, reading.spec)
    except BadInputError as error:
        broken = BadRows()
        for place, reason in chain.from_iterable(batch.bad for batch in waiting):
            broken.add(f"{sample.unit} {place}", reason)
        if not broken.count:
            raise
        raise BadInputError(
            f"{error} Also bad: {broken.summary()}", advice=error.advice
        ) from error


def _all_checked(
    file: DataFile, batches: Iterable[Batch], mapping: Mapping, reading: Reading
) -> Iterator[Rows]:
    for batch in batches:
        yield from _checked(file, batch, mapping, reading)


def _checked(
    file: DataFile, batch: Batch, mapping: Mapping, reading: Reading
) -> Iterator[Rows]:
    """Return the rows of a batch that are good."""
    kind, most = reading.kind, reading.spec.max_row_characters
    columns = (
        kind.check_all(batch.values, mapping, most)
        if kind.check_all and batch.values and not batch.bad
        else None
    )
    if columns is None:
        columns = _checked_singly(file, batch, mapping, reading)
    if not columns:
        return
    arrays = [
        pa.array(values, field.type)
        for values, field in zip(columns, kind.schema, strict=True)
    ]
    rows = pa.RecordBatch.from_arrays(arrays, schema=kind.schema)
    if len(columns) == 1:
        yield rows, [text.encode() for text in columns[0]]
    else:
        yield rows, [repr(row).encode() for row in zip(*columns, strict=True)]


def _checked_singly(
    file: DataFile, batch: Batch, mapping: Mapping, reading: Reading
) -> list[list[Any]]:
    """Check each row, and note those that are bad in file order."""
    most, notes = reading.spec.max_row_characters, reading.notes
    good: list[tuple[Any, ...]] = []
    bad = list(batch.bad)
    check = reading.kind.check
    for place, value in zip(batch.places, batch.values, strict=True):
        try:
            good.append(check(value, mapping, most, notes))
        except BadRowError as error:
            bad.append((place, str(error)))
    prefix = "" if file.name == reading.spec.file_name else f"{file.name} "
    for place, reason in sorted(bad):
        reading.bad.add(f"{prefix}{batch.unit} {place}", reason)
    return [list(values) for values in zip(*good, strict=True)]
