"""Who is equal to whom, and who is chosen, for any number of rows in flat memory.

Each row leaves twelve bytes in a file: an 8-byte key by which equal rows are found
(Python's own keyed hash: fast, and nobody can make two rows collide without knowing
this process's secret; among a billion rows the chance of one false duplicate is about
3 %, and it would only put two rows on the same side), and a 4-byte lot drawn from the
content alone, so that the same content is split the same way everywhere.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

RECORD = np.dtype([("key", "<u8"), ("lot", "<u4")])
LOTS = 2**32
PART_ROWS = 2_000_000
"""Rows looked at together: 24 MB of records."""
EXACT_ROWS = 1_000_000
"""Up to here the share of validation rows is exact, beyond it a matter of luck."""


class RowKeys:
    """The keys of all rows of a dataset, in file order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self.count = 0

    def add(self, rows: list[bytes], drawn_by: list[bytes] | None = None) -> None:
        """Remember some rows; their lots may be drawn by something they share."""
        records = np.empty(len(rows), RECORD)
        keys = np.fromiter(map(hash, rows), np.int64, len(rows))
        records["key"] = keys.view(np.uint64)
        records["lot"] = _mixed(
            np.fromiter(map(crc32, drawn_by or rows), np.uint32, len(rows))
        )
        self._file.write(records.tobytes())
        self.count += len(rows)

    def parts(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[Any]]:
        """Return the records of rows `start` to `stop`, a part at a time."""
        self._file.flush()
        end = self.count if stop is None else stop
        with self._path.open("rb") as file:
            file.seek(start * RECORD.itemsize)
            while start < end:
                size = min(PART_ROWS, end - start)
                yield np.frombuffer(file.read(size * RECORD.itemsize), RECORD)
                start += size

    def _slices(self) -> int:
        """Return into how many slices of the key space to cut the work."""
        return -(-self.count // PART_ROWS)

    def _slice_of(self, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        # Key modulo slices: one slice's distinct keys fit in memory.
        return keys % np.uint64(max(1, self._slices()))

    def distinct(self) -> int:
        """Count different rows."""
        total = 0
        for index in range(self._slices()):
            found = [
                part["key"][self._slice_of(part["key"]) == index]
                for part in self.parts()
            ]
            total += len(_sorted_distinct(np.concatenate(found)))
        return total

    def chosen(self, fraction: float) -> Iterator[NDArray[np.bool_]]:
        """Say of each row, part by part, whether its lot puts it in the share."""
        limit = self._limit(fraction)
        for part in self.parts():
            yield part["lot"] < limit

    def _limit(self, fraction: float) -> int:
        """Return the lot below which a row is chosen; some but not all, if it can."""
        if self.count > EXACT_ROWS:
            return int(fraction * LOTS)
        lots = [part["lot"] for part in self.parts()]
        distinct = _sorted_distinct(np.concatenate([np.empty(0, np.uint32), *lots]))
        if fraction == 0 or len(distinct) < 2:
            return 0
        wanted = max(1, round(fraction * len(distinct)))
        return int(distinct[min(wanted, len(distinct) - 1)])

    def seen_before(self, boundary: int) -> NDArray[np.bool_]:
        """Say of each row from `boundary` on whether an equal one is before it."""
        seen = np.zeros(self.count - boundary, bool)
        for index in range(self._slices()):
            early = np.concatenate(
                [np.empty(0, np.uint64)]
                + [
                    _sorted_distinct(part["key"][self._slice_of(part["key"]) == index])
                    for part in self.parts(0, boundary)
                ]
            )
            at = 0
            for part in self.parts(boundary):
                keys = part["key"]
                mine = self._slice_of(keys) == index
                seen[at : at + len(keys)][mine] = np.isin(keys[mine], early)
                at += len(keys)
        return seen

    def close(self) -> None:
        """Forget the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _sorted_distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Do what numpy's unique does; that one hashes, ten times slower than sorting."""
    ordered = np.sort(values)
    is_new = np.ones(len(ordered), bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_new]


def _mixed(lots: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread checksums evenly (the finalizer of MurmurHash3, public domain)."""
    lots ^= lots >> np.uint32(16)
    lots *= np.uint32(0x85EBCA6B)
    lots ^= lots >> np.uint32(13)
    lots *= np.uint32(0xC2B2AE35)
    lots ^= lots >> np.uint32(16)
    return lots
