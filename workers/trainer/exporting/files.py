"""Compressed files of JSON lines: equal lines make equal files."""

import gzip
import io
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runspec.layout import ExportFile
from runspec.manifest import file_sha256

LEVEL = 3
"""Twice as fast as gzip's own choice, and a tenth larger."""
BUFFER = 2**18
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class LinesFile:
    """Takes one object at a time; nothing but a buffer is held."""

    def __init__(self, path: Path, *, is_array: bool = False) -> None:
        self._path = path
        self._is_array = is_array
        self._raw = path.open("wb")
        # Neither a name nor a time in its head: both would make equal files differ.
        packed = gzip.GzipFile("", "wb", LEVEL, self._raw, mtime=0)
        self._file = io.BufferedWriter(packed, BUFFER)
        self.num_lines = 0

    def add(self, line: dict[str, Any]) -> None:
        """Write one object."""
        if self._is_array:
            self._file.write(b",\n" if self.num_lines else b"[\n")
        self._file.write(ENCODER.encode(line).encode())
        if not self._is_array:
            self._file.write(b"\n")
        self.num_lines += 1

    def close(self) -> None:
        """Complete the file."""
        if self._raw.closed:
            return
        if self._is_array:
            self._file.write(b"\n]\n" if self.num_lines else b"[]\n")
        self._file.close()
        self._raw.close()

    def described(self, about: str) -> ExportFile:
        """Return what a card says of it, once it is closed."""
        return describe(self._path, about, self.num_lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def describe(path: Path, about: str, num_lines: int) -> ExportFile:
    """Return what a card says of a file."""
    return ExportFile(
        name=path.name,
        size=path.stat().st_size,
        sha256=file_sha256(path),
        lines=num_lines,
        about=about,
    )
