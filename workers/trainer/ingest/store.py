"""Rows on disk: first all of them in file order, then split into Parquet shards."""

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from runspec.layout import Split

SHARD_BYTES = 64 * 2**20
GROUP_ROWS = 5_000
GROUP_BYTES = 4 * 2**20
"""A page of a preview reads one row group: keep it small."""


class Staging:
    """All good rows, in file order, until it is known which goes where."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, schema)
        self.rows = 0
        self.characters = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep some rows."""
        self._writer.write_batch(batch)
        self.rows += len(batch)
        self.characters += int(row_lengths(batch).sum())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Close for writing; return all rows again."""
        self._writer.close()
        self._sink.close()
        with pa.OSFile(str(self._path), "rb") as source:
            yield from pa.ipc.open_stream(source)

    def close(self) -> None:
        """Forget the file."""
        if not self._sink.closed:
            self._writer.close()
            self._sink.close()
        self._path.unlink(missing_ok=True)


class Lengths:
    """A histogram of lengths by powers of two."""

    def __init__(self) -> None:
        self.counts = np.zeros(64, np.int64)

    def add(self, lengths: NDArray[np.int64]) -> None:
        """Count values with these numbers of characters."""
        powers = np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
        self.counts += np.bincount(powers, minlength=64)

    def bins(self) -> list[tuple[int, int]]:
        """Return (upper bound in characters, rows), from the first to the last bin."""
        filled = np.flatnonzero(self.counts)
        if not len(filled):
            return []
        span = range(int(filled[0]), int(filled[-1]) + 1)
        return [(2**power, int(self.counts[power])) for power in span]


class Counts:
    """Totals over rows of both splits."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.characters = 0
        self.longest = 0
        self.lengths = Lengths()

    def add(self, lengths: NDArray[np.int64], size: int) -> None:
        """Count rows with these numbers of characters."""
        self.rows += len(lengths)
        self.bytes += size
        self.characters += int(lengths.sum())
        self.longest = max(self.longest, int(lengths.max(initial=0)))
        self.lengths.add(lengths)


class SplitWriter:
    """Writes one split as Parquet shards of about 64 MB of text each."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._name = name
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._shard_bytes = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0
        num_leaves = sum(_num_leaves(field.type) for field in schema)
        self._digests: list[Any] = [hashlib.sha256() for _ in range(2 * num_leaves)]
        self.counts = Counts()
        self.shards: list[str] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Write some rows, sooner or later."""
        for at in range(0, len(batch), GROUP_ROWS):
            self._add(batch.slice(at, GROUP_ROWS))

    def _add(self, batch: pa.RecordBatch) -> None:
        size = 0
        leaves = chain.from_iterable(map(_leaves, batch.columns))
        for index, (sizes, content) in enumerate(leaves):
            size += content.nbytes
            # Lengths and content apart: the hash does not depend on batches.
            self._digests[2 * index].update(sizes.astype("<i8").tobytes())
            self._digests[2 * index + 1].update(content)
        self.counts.add(row_lengths(batch), size)
        self._waiting.append(batch)
        self._waiting_rows += len(batch)
        self._waiting_bytes += size
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            name = f"{self._name}-{len(self.shards):05d}.parquet"
            self.shards.append(name)
            self._writer = pq.ParquetWriter(
                self._folder / name,
                self._schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=False,
                write_statistics=False,
            )
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._writer.write_table(table, row_group_size=len(table))
        self._shard_bytes += self._waiting_bytes
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        if self._shard_bytes >= SHARD_BYTES:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._shard_bytes = 0

    def finish(self) -> tuple[Split, str]:
        """Complete the files; return what they hold and the hash of the content."""
        self._flush()
        self._close_shard()
        whole = hashlib.sha256(b"".join(part.digest() for part in self._digests))
        counts = self.counts
        split = Split(
            rows=counts.rows,
            bytes=counts.bytes,
            characters=counts.characters,
            shards=self.shards,
        )
        return split, whole.hexdigest()


def row_lengths(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return the number of characters in all texts of each row."""
    lengths = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        lengths += text_lengths(column)
    return lengths


def text_lengths(column: "pa.Array[Any]") -> NDArray[np.int64]:
    """Return the number of characters in each value of a column; of turns, what is
    said and called."""
    if _is_number(column.type):
        return np.zeros(len(column), np.int64)
    if not pa.types.is_list(column.type):
        counts = pc.call_function("utf8_length", [column])
        filled: pa.Array[Any] = pc.call_function("coalesce", [counts, pa.scalar(0)])
        return filled.to_numpy(zero_copy_only=False).astype(np.int64)
    turns = items(column)
    inside = np.zeros(len(turns) + 1, np.int64)
    for name in ("content", "tool_calls"):
        inside[1:] += text_lengths(turns.field(name))
    ends = np.cumsum(np.append(0, list_lengths(column)))
    total = np.cumsum(inside)
    lengths: NDArray[np.int64] = total[ends[1:]] - total[ends[:-1]]
    return lengths


def items(column: "pa.Array[Any]") -> Any:
    """Return what is in all lists of a column, one after another."""
    return pc.call_function("list_flatten", [column])


def list_lengths(column: "pa.Array[Any]") -> NDArray[np.int64]:
    """Return the number of items in each list of a column."""
    counts = pc.call_function("list_value_length", [column])
    filled: pa.Array[Any] = pc.call_function("coalesce", [counts, pa.scalar(0)])
    return filled.to_numpy(zero_copy_only=False).astype(np.int64)


def _leaves(column: "pa.Array[Any]") -> Iterator[tuple[NDArray[np.int64], memoryview]]:
    """Return sizes and bytes of all texts in a column, whatever they are nested in.

    A text that is not there has the size -1; lists give their lengths, and no bytes;
    numbers give what they are for a size, in pairs: whether there is one, and its bits.
    """
    if _is_number(column.type):
        yield _bits(column), memoryview(b"")
        return
    if pa.types.is_list(column.type):
        yield list_lengths(column), memoryview(b"")
        for field in items(column).flatten():
            yield from _leaves(field)
        return
    sizes = np.diff(_offsets(column)).astype(np.int64)
    if column.null_count:
        sizes[column.is_null().to_numpy(zero_copy_only=False)] = -1
    yield sizes, _content(column)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_primitive(kind)


def _bits(column: "pa.Array[Any]") -> NDArray[np.int64]:
    """Return for each number whether it is there, and its bits as a double has them."""
    there = column.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    doubles = pc.call_function("coalesce", [values, pa.scalar(0, values.type)])
    numbers = doubles.to_numpy(zero_copy_only=False).astype("<f8")
    return np.stack([there, numbers.view("<i8")], axis=1).ravel()


def _num_leaves(kind: pa.DataType) -> int:
    return 1 + kind.value_type.num_fields if pa.types.is_list(kind) else 1


def _offsets(column: "pa.Array[Any]") -> NDArray[np.int32]:
    """Return where each text of a string column begins, and the last one ends."""
    ends = column.buffers()[1]
    if ends is None or not len(column):
        return np.zeros(1, np.int32)
    found = np.frombuffer(memoryview(ends), np.int32)
    return found[column.offset : column.offset + len(column) + 1]


def _content(column: "pa.Array[Any]") -> memoryview:
    """Return the bytes of a string column, without copying them."""
    content = column.buffers()[2]
    offsets = _offsets(column)
    if content is None:
        return memoryview(b"")
    return memoryview(content)[int(offsets[0]) : int(offsets[-1])]
