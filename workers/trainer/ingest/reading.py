"""From one data file to batches of checked rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from runspec import IngestSpec

from trainer.errors import BadInputError
from trainer.ingest.encoding import Utf8
from trainer.ingest.errors import (
    BadRowError,
    BadRows,
    HeldBackError,
    NoPreferenceError,
)
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
from trainer.ingest.kinds.choosing import layout_of
from trainer.ingest.limits import Budget
from trainer.ingest.rows import Batch, Notes
from trainer.ingest.store import Staging


class Rows(NamedTuple):
    """Good rows in canonical columns."""

    batch: pa.RecordBatch
    identities: list[bytes]
    """For each row the bytes that identify it."""
    prompts: list[bytes]
    """For each the bytes that identify what it asks, where its kind asks."""
    pairs: Sequence[tuple[bytes, bytes]] = ()
    """For each the bytes that identify what is preferred to what; then the same,
    whichever way round."""


def made_of(kind: Kind, columns: list[list[Any]]) -> Rows:
    """Return checked values as rows."""
    arrays = [
        pa.array(values, column.type)
        for values, column in zip(columns, kind.schema, strict=True)
    ]
    batch = pa.RecordBatch.from_arrays(arrays, schema=kind.schema)
    if len(columns) == 1:
        return Rows(batch, [text.encode() for text in columns[0]], [])
    rows = list(zip(*columns, strict=True))
    ask = kind.prompt_of
    prompts = [repr(ask(row)).encode() for row in rows] if ask else []
    pairs = [
        (repr(ordered).encode(), repr(either).encode())
        for ordered, either in (map(kind.pair_of, rows) if kind.pair_of else ())
    ]
    return Rows(batch, [repr(row).encode() for row in rows], prompts, pairs)


class HeldBack:
    """Rows that are good only where there are no better ones: on disk, in order."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self._kind = kind
        self._staging = Staging(path, kind.schema)
        self.bad = BadRows()

    def add(self, held: list[tuple[str, HeldBackError]]) -> None:
        """Keep some rows aside, each with its place."""
        for place, error in held:
            self.bad.add(place, str(error))
        values = [error.values for _, error in held]
        columns = [list(column) for column in zip(*values, strict=True)]
        self._staging.add(made_of(self._kind, columns).batch)

    def rows(self) -> Iterator[Rows]:
        """Return all of them."""
        for batch in self._staging.batches():
            yield made_of(self._kind, [part.to_pylist() for part in batch.columns])

    def close(self) -> None:
        """Forget them."""
        self._staging.close()


@dataclass
class Reading:
    """What all files of one source share."""

    spec: IngestSpec
    folder: Path
    budget: Budget
    notes: Notes
    bad: BadRows
    held: HeldBack
    ties: BadRows = field(default_factory=BadRows)
    """Rows that prefer neither of their answers."""
    num_cut: int = 0
    is_text_file: bool = False
    """Whether rows come from plain text rather than a table."""
    mapping: Mapping = field(default_factory=dict)
    """As it was chosen for the first file."""
    layout: str = ""

    @property
    def kind(self) -> Kind:
        """What the rows shall be."""
        return KINDS[self.spec.dataset_kind]

    @property
    def max_element_bytes(self) -> int:
        """The longest line or element worth parsing: all of it escaped, and more."""
        return 12 * self.spec.max_row_characters + 2**20


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


def first_batches(
    file: DataFile, reading: Reading, *, num_rows: int, num_bytes: int
) -> Iterator[Batch]:
    """Return the first rows of a table: `num_rows`, or as many as `num_bytes` hold.

    The first batch with a row in it is the one by which columns are chosen.

    Raises:
        BadInputError: the file as a whole cannot be read.
    """
    if file.file_format == "parquet":
        path = file.path or spool(file.chunks, reading.folder)
        reader = ParquetReader(path, file.name, reading.budget)
        batches = reader.batches(reader.schema.names)
    else:
        source = Utf8(file.chunks, file.name)
        reading.notes.add(source.note)
        batches = _table_batches(file, source, reading)
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch.values)
        if seen >= num_rows or reading.budget.spent >= num_bytes:
            return


def _table_batches(file: DataFile, source: Utf8, reading: Reading) -> Iterator[Batch]:
    name, most = file.name, reading.max_element_bytes
    if file.file_format in {"csv", "tsv"}:
        read = read_csv if file.file_format == "csv" else read_tsv
        header = reading.spec.header
        return read(source, name, reading.notes, max_bytes=most, header=header)
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
    from_text = reading.kind.from_text
    if reading.spec.dataset_kind != "text" and from_text is None:
        raise BadInputError(
            f"{file.name} is plain text; rows of {reading.spec.dataset_kind} need a "
            "table (jsonl, json, csv, tsv or parquet)"
        )
    reading.is_text_file = from_text is None
    reader = TextReader(
        source,
        file.name,
        rows=reading.spec.text_rows,
        max_characters=reading.spec.max_row_characters,
    )
    for batch in reader.batches(reading.notes):
        reading.num_cut += batch.num_cut
        if from_text is not None:
            made = [from_text(row.decode()) for row in batch.rows]
            if made:
                lists = [list(values) for values in zip(*made, strict=True)]
                yield made_of(reading.kind, lists)
            continue
        column = pa.array(batch.rows, pa.binary()).cast(pa.string())
        columns = pa.RecordBatch.from_arrays([column], schema=reading.kind.schema)
        yield Rows(columns, batch.rows, [])


def _parquet_rows(file: DataFile, reading: Reading) -> Iterator[Rows]:
    path = file.path or spool(file.chunks, reading.folder)
    try:
        reader = ParquetReader(path, file.name, reading.budget)
        first = next(reader.batches(reader.schema.names), Batch(unit="row"))
        sample = Sample(file.name, "row", first.places, first.values)
        if not first.values:
            return
        mapping = _choose(sample, reading, [])
        if file.path is not None:
            size = path.stat().st_size
            reading.budget.position = lambda: size * reader.done // reader.num_rows
        starts = {name.split(".")[0] for name in mapping.values()}
        wanted = [
            name
            for name in reader.schema.names
            if name in mapping.values() or name in starts
        ]
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
    names = {name: name for name in reading.kind.schema.names}
    yield from _all_checked(file, waiting, mapping or names, reading)


def _choose(sample: Sample, reading: Reading, waiting: list[Batch]) -> Mapping:
    """Choose columns; where that fails, name also the lines that are no rows."""
    kind, spec = reading.kind, reading.spec
    try:
        mapping = kind.choose(sample, spec)
    except BadInputError as error:
        broken = BadRows()
        for place, reason in chain.from_iterable(batch.bad for batch in waiting):
            broken.add(f"{sample.unit} {place}", reason)
        if not broken.count:
            raise
        raise BadInputError(
            f"{error} Also bad: {broken.summary()}", advice=error.advice
        ) from error
    if not reading.mapping:
        reading.mapping = mapping
        reading.layout = layout_of(spec.dataset_kind, mapping, sample.rows)
    return mapping


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
    yield made_of(kind, columns)


def _checked_singly(
    file: DataFile, batch: Batch, mapping: Mapping, reading: Reading
) -> list[list[Any]]:
    """Check each row, and note those that are bad in file order."""
    most, notes = reading.spec.max_row_characters, reading.notes
    good: list[tuple[Any, ...]] = []
    bad = list(batch.bad)
    held: list[tuple[str, HeldBackError]] = []
    prefix = "" if file.name == reading.spec.file_name else f"{file.name} "
    check = reading.kind.check
    for place, value in zip(batch.places, batch.values, strict=True):
        try:
            good.append(check(value, mapping, most, notes))
        except HeldBackError as error:
            held.append((f"{prefix}{batch.unit} {place}", error))
        except NoPreferenceError as error:
            reading.ties.add(f"{prefix}{batch.unit} {place}", str(error))
        except BadRowError as error:
            bad.append((place, str(error)))
    if held:
        reading.held.add(held)
    for place, reason in sorted(bad):
        reading.bad.add(f"{prefix}{batch.unit} {place}", reason)
    return [list(values) for values in zip(*good, strict=True)]
