"""Some rows of a dataset version, read without reading the rest."""

from collections.abc import Iterator
from typing import Any

from runspec.layout import DatasetCard

from trivium import storage
from trivium.datasets.models import DatasetVersion

READ_AT_ONCE = 200
"""Rows made Python objects together, when all are read."""


def read_rows(
    version: DatasetVersion, split: str, *, offset: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Return rows `offset` to `offset + limit` of a split, and how many it has.

    Raises:
        KeyError: there is no such split, or the version is not ready.
    """
    import pyarrow.parquet as pq  # a tenth of a second that starting need not wait for

    if not version.is_ready:
        raise KeyError(split)
    card = DatasetCard.model_validate(version.card)
    found = card.splits[split]
    folder = storage.local_copy(version.path)
    rows: list[dict[str, Any]] = []
    start = 0
    for shard in found.shards:
        with pq.ParquetFile(folder / shard) as file:
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                wanted = offset + len(rows)
                if start + count > wanted and len(rows) < limit:
                    table = file.read_row_group(group)
                    piece = table.slice(wanted - start, limit - len(rows))
                    rows += piece.to_pylist()
                start += count
        if len(rows) >= limit:
            break
    return rows, found.rows


def iterate_rows(version: DatasetVersion, split: str) -> Iterator[dict[str, Any]]:
    """Yield all rows of a split, a row group at a time.

    Raises:
        KeyError: there is no such split, or the version is not ready.
    """
    import pyarrow.parquet as pq

    if not version.is_ready:
        raise KeyError(split)
    found = DatasetCard.model_validate(version.card).splits[split]
    folder = storage.local_copy(version.path)
    for shard in found.shards:
        with pq.ParquetFile(folder / shard) as file:
            for batch in file.iter_batches(batch_size=READ_AT_ONCE):
                yield from batch.to_pylist()
