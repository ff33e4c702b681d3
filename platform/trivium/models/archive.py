"""Files as one zip, made while it is sent: nothing is written, little is held.

Equal files make equal archives, so a broken download can go on where it stopped.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

PIECE = 2**20
LARGE = zipfile.ZIP64_LIMIT
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can name; equal files then make equal archives."""
LOCAL, CENTRAL, END = 30, 46, 22
DESCRIPTOR = 16
"""Bytes of what a zip holds beside names and content."""
END_64 = 56 + 20


class Entry(NamedTuple):
    """One file of an archive: where its bytes lie, or the bytes themselves."""

    name: str
    size: int
    path: Path | None = None
    content: bytes = b""

    def open(self) -> IO[bytes]:
        """Open it for reading."""
        return io.BytesIO(self.content) if self.path is None else self.path.open("rb")


def file_entry(name: str, path: Path) -> Entry:
    """Return an entry for a file."""
    return Entry(name, path.stat().st_size, path)


def text_entry(name: str, text: str) -> Entry:
    """Return an entry for a text."""
    content = text.encode()
    return Entry(name, len(content), content=content)


class _Parts(io.RawIOBase):
    """Where the archive writes: a list that is emptied after each piece."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: object) -> int:
        piece = bytes(memoryview(part))  # type: ignore[arg-type]
        self.parts.append(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self.parts)
        self.parts.clear()
        return taken


def zip_size(entries: Sequence[Entry], *, top: str) -> int:
    """Return how many bytes `zip_parts` yields, without reading a file."""
    offset = central = 0
    for entry in entries:
        name = len(f"{top}/{entry.name}".encode())
        is_large = entry.size > LARGE
        # Large entries, and those far behind, need fields of eight bytes.
        extra = 16 * is_large + 8 * (offset > LARGE)
        central += CENTRAL + name + (4 + extra if extra else 0)
        offset += LOCAL + name + entry.size + DESCRIPTOR + 28 * is_large
    is_64 = offset > LARGE or len(entries) > zipfile.ZIP_FILECOUNT_LIMIT
    return offset + central + END + END_64 * is_64


def zip_parts(entries: Sequence[Entry], *, top: str) -> Iterator[bytes]:
    """Yield a zip of `entries` below a folder `top`; stored, not packed.

    Weights do not compress, and storing costs no time.
    """
    sink = _Parts()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            about = zipfile.ZipInfo(f"{top}/{entry.name}", EPOCH)
            about.external_attr = 0o644 << 16
            with (
                entry.open() as source,
                archive.open(about, "w", force_zip64=entry.size > LARGE) as target,
            ):
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield sink.take()
    yield sink.take()


def cut(parts: Iterator[bytes], start: int, end: int) -> Iterator[bytes]:
    """Yield what lies between two positions; what is before is made and dropped."""
    position = 0
    for part in parts:
        wanted = part[max(0, start - position) : max(0, end - position)]
        position += len(part)
        if wanted:
            yield wanted
        if position >= end:
            return
