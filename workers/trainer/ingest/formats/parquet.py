"""Parquet, a few rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.errors import BadInputError
from trainer.ingest.limits import Budget
from trainer.ingest.rows import Batch

BATCH_ROWS = 256
"""Few, since dictionary-encoded rows may expand to megabytes each."""


class ParquetReader:
    """Reads a local Parquet file; defects of the file are answers, not crashes."""

    def __init__(self, path: Path, name: str, budget: Budget) -> None:
        self._name = name
        self._budget = budget
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20)
            self.schema: pa.Schema = self._file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise BadInputError(
                f"{name} is not a readable Parquet file: {_first_line(error)}",
                advice="Is it complete?",
            ) from error
        self.num_rows: int = self._file.metadata.num_rows
        self.done = 0

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        """Return rows with only `columns`, counted from 1."""
        self.done = 0
        parts = self._file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
        while True:
            try:
                part = next(parts)
            except StopIteration:
                return
            except (pa.ArrowException, OSError) as error:
                raise BadInputError(
                    f"{self._name} is damaged after row {self.done}: "
                    f"{_first_line(error)}"
                ) from error
            self._budget.spend(part.nbytes)
            places = range(self.done + 1, self.done + 1 + len(part))
            batch = Batch(unit="row", places=places)
            batch.values = _rows(part)
            self.done += len(part)
            yield batch


def _rows(part: pa.RecordBatch) -> list[dict[str, Any]]:
    """Turn Arrow rows into dicts; text that is not UTF-8 stays bytes."""
    columns = [_values(part.column(at)) for at in range(part.num_columns)]
    names = part.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: "pa.Array[Any]") -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return list(column.cast(pa.large_binary()).to_pylist())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
