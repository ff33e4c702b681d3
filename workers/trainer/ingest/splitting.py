"""Which rows train and which validate; equal rows always stand on one side.

`hash`: each row draws a lot from its content, and the rows with the lowest lots, a
share of the distinct ones, validate. `tail`: the last rows validate, save those equal
to a row before them, which train. A text taken as whole files is cut by characters
under `tail`, wherever that falls; so is a text of one row, whatever the choice.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from runspec import IngestSpec

from trainer.ingest.keys import RowKeys

Piece = tuple[pa.RecordBatch, bool]
"""Some rows, and whether they validate."""


def is_cut_by_characters(spec: IngestSpec, rows: int, *, is_text_file: bool) -> bool:
    """Whether the boundary may fall inside a row."""
    if spec.validation_fraction == 0 or not is_text_file:
        return False
    return rows == 1 or (spec.text_rows == "file" and spec.split == "tail")


def split_by_characters(
    batches: Iterable[pa.RecordBatch], train_characters: int
) -> Iterator[Piece]:
    """Cut one column of text after so many characters."""
    left = train_characters
    for batch in batches:
        for row in range(len(batch)):
            text = batch.column(0)[row].as_py()
            for part, validates in ((text[:left], False), (text[left:], True)):
                if part:
                    column = pa.array([part], pa.string())
                    piece = pa.RecordBatch.from_arrays([column], schema=batch.schema)
                    yield piece, validates
            left = max(0, left - len(text))


def split_by_rows(
    batches: Iterable[pa.RecordBatch], keys: RowKeys, spec: IngestSpec
) -> Iterator[Piece]:
    """Send whole rows to one side or the other, in file order on each."""
    sides = _Sides(
        _tail(keys, spec.validation_fraction)
        if spec.split == "tail"
        else keys.chosen(spec.validation_fraction)
    )
    for batch in batches:
        validates = sides.take(len(batch))
        if not validates.any():
            yield batch, False
            continue
        yield batch.filter(pa.array(~validates)), False
        yield batch.filter(pa.array(validates)), True


def _tail(keys: RowKeys, fraction: float) -> Iterator[NDArray[np.bool_]]:
    boundary = keys.count - _tail_rows(keys.count, fraction)
    for part in keys.parts(0, boundary):
        yield np.zeros(len(part), bool)
    yield ~keys.seen_before(boundary)


def _tail_rows(rows: int, fraction: float) -> int:
    if fraction == 0 or rows < 2:
        return 0
    return max(1, rows - int(rows * (1 - fraction)))


class _Sides:
    """Hands out as many choices as a batch has rows."""

    def __init__(self, parts: Iterator[NDArray[np.bool_]]) -> None:
        self._parts = parts
        self._rest = np.empty(0, bool)

    def take(self, count: int) -> NDArray[np.bool_]:
        """Return the next `count`."""
        while len(self._rest) < count:
            self._rest = np.concatenate([self._rest, next(self._parts)])
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken
