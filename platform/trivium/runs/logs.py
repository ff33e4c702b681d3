"""The logs of trainers, read in pieces by byte offset."""

from pathlib import Path
from typing import NamedTuple

from runspec.layout import log_file

from trivium import storage


class LogPiece(NamedTuple):
    """Some of a log; `next_offset` is where the next piece starts."""

    offset: int
    next_offset: int
    size: int
    text: str


def read_log(
    run_id: int, attempt: int, *, offset: int | None = None, limit: int = 65_536
) -> LogPiece:
    """Read up to `limit` bytes from `offset` on; without one, the end of the log.

    A log that is not there (yet) is empty. A character cut in two by `limit` is left
    for the next piece.
    """
    path: Path = log_file(storage.run_folder(run_id), attempt)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - limit) if offset is None else min(offset, size)
            file.seek(start)
            raw = file.read(limit)
    except FileNotFoundError:
        return LogPiece(0, 0, 0, "")
    if start + len(raw) < size:
        raw = _without_cut_character(raw)
    return LogPiece(start, start + len(raw), size, raw.decode(errors="replace"))


def _without_cut_character(raw: bytes) -> bytes:
    """Drop an unfinished UTF-8 character from the end, if that leaves anything."""
    for length in range(1, min(4, len(raw))):
        byte = raw[-length]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            is_cut = length < (2 + (byte >= 0xE0) + (byte >= 0xF0))
            return raw[:-length] if is_cut else raw
    return raw
