"""A folder as one zip, made while it is sent: nothing is written, little is held."""

import io
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from asgiref.sync import sync_to_async

PIECE = 2**20
LARGE = 2**31 - 1
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can name; equal files then make equal archives."""


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


def zip_parts(folder: Path, names: Sequence[str], *, top: str) -> Iterator[bytes]:
    """Yield a zip of `names` in `folder`, below a folder `top`; stored, not packed.

    Weights do not compress, and storing costs no time.
    """
    sink = _Parts()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            path = folder / name
            entry = zipfile.ZipInfo(f"{top}/{name}", EPOCH)
            entry.external_attr = 0o644 << 16
            is_large = path.stat().st_size > LARGE
            with (
                path.open("rb") as source,
                archive.open(entry, "w", force_zip64=is_large) as target,
            ):
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield sink.take()
    yield sink.take()


async def stream_zip(
    folder: Path, names: Sequence[str], *, top: str
) -> AsyncIterator[bytes]:
    """Yield the same to an async server, which would hold a plain iterator whole."""
    parts = zip_parts(folder, names, top=top)
    following = sync_to_async(lambda: next(parts, b""), thread_sensitive=False)
    while part := await following():
        yield part
