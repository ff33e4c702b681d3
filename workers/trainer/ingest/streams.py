"""Byte streams that expand while they are read, in constant memory."""

import io
import zlib
from collections.abc import Generator, Iterator
from typing import Protocol

import pyarrow as pa

from trainer.errors import BadInputError
from trainer.ingest.limits import Budget

CHUNK = 2**20
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Readable(Protocol):
    """As much of a file as reading from front to back needs."""

    def read(self, size: int = ..., /) -> bytes:
        """Return some bytes, none at the end."""


def read_chunks(stream: Readable) -> Iterator[bytes]:
    """Return the content piece by piece."""
    while chunk := stream.read(CHUNK):
        yield chunk


def gzip_chunks(stream: Readable, budget: Budget, name: str) -> Iterator[bytes]:
    """Expand gzip, members one after another; every defect is an answer.

    The standard library's reader hands out data before it finds garbage, and has no
    bound on what one read expands to.
    """
    pending = stream.read(CHUNK)
    if not pending.startswith(GZIP_MAGIC):
        raise BadInputError(
            f"{name} is not a gzip file, though its name ends in .gz",
            advice="Rename it, or compress it with gzip.",
        )
    while pending.startswith(GZIP_MAGIC):
        pending = yield from _gzip_member(stream, pending, budget, name)
    # Tape drives pad with zeros; gzip itself allows that.
    if pending.strip(b"\0"):
        raise BadInputError(f"{name} has trailing data after its gzip stream")


def _gzip_member(
    stream: Readable, pending: bytes, budget: Budget, name: str
) -> Generator[bytes, None, bytes]:
    """Expand one member; return what was read beyond it."""
    expander = zlib.decompressobj(wbits=31)
    while not expander.eof:
        try:
            out = expander.decompress(pending, CHUNK)
        except zlib.error as error:
            raise BadInputError(f"{name} is damaged: {_zlib_reason(error)}") from error
        budget.spend(len(out))
        if out:
            yield out
        pending = expander.unconsumed_tail
        if pending or expander.eof or len(out) == CHUNK:
            continue
        pending = stream.read(CHUNK)
        if not pending:
            raise BadInputError(f"{name} is truncated: its gzip stream has no end")
    rest = expander.unused_data
    return rest if len(rest) >= len(GZIP_MAGIC) else rest + stream.read(CHUNK)


def _zlib_reason(error: zlib.error) -> str:
    text = str(error)
    if "incorrect data check" in text or "incorrect length check" in text:
        return "checksum mismatch in its gzip stream"
    return f"gzip says {text.rpartition(': ')[2]}"


def zstd_chunks(stream: Readable, budget: Budget, name: str) -> Iterator[bytes]:
    """Expand zstandard frames."""
    head = stream.read(4)
    if head != ZSTD_MAGIC:
        raise BadInputError(
            f"{name} is not a zstandard file, though its name ends in .zst",
            advice="Rename it, or compress it with zstd.",
        )
    joined = pa.PythonFile(ChunkStream(_after(head, stream)), mode="r")
    try:
        with pa.CompressedInputStream(joined, "zstd") as expanded:
            while out := expanded.read(CHUNK):
                budget.spend(len(out))
                yield out
    except (OSError, pa.ArrowException) as error:
        reason = "truncated" if "runcated" in str(error) else "damaged"
        raise BadInputError(f"{name} is {reason}: {error}") from error


def _after(head: bytes, stream: Readable) -> Iterator[bytes]:
    yield head
    yield from read_chunks(stream)


class ChunkStream(io.RawIOBase):
    """A readable file over pieces of bytes, for readers that want a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        wanted = -1 if size is None else size
        parts = [self._rest]
        have = len(self._rest)
        while wanted < 0 or have < wanted:
            piece = next(self._chunks, b"")
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        data = b"".join(parts)
        if wanted < 0:
            wanted = len(data)
        self._rest = data[wanted:]
        return data[:wanted]
