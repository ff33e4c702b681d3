"""Whatever the file is written in, readers get UTF-8 without a byte order mark."""

import codecs
from collections.abc import Iterator
from itertools import chain

from trainer.errors import BadInputError

# UTF-32's little-endian mark begins like UTF-16's: it must be tried first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Utf8:
    """Iterates over the content as UTF-8; `note` says what was done to it."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self.note = ""
        self.offset = 0
        """Where the content starts in the expanded file."""
        first = next(chunks, b"")
        while 0 < len(first) < 4 and (more := next(chunks, b"")):
            first += more
        self.head = first
        self._chunks = self._decoded(first, chunks, name)

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def _decoded(
        self, first: bytes, chunks: Iterator[bytes], name: str
    ) -> Iterator[bytes]:
        for mark, codec in MARKS:
            if first.startswith(mark):
                self.offset = len(mark)
                self.head = first = first[len(mark) :]
                if codec == "utf-8":
                    return chain([first], chunks)
                self.note = f"{name} was decoded from {codec.upper()} by its mark"
                decoded = _transcoded(chain([first], chunks), codec, name)
                self.head = next(decoded, b"")
                return chain([self.head], decoded)
        return chain([first], chunks)


def _transcoded(chunks: Iterator[bytes], codec: str, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise BadInputError(
            f"{name} has a {codec.upper()} mark but is not valid: {error.reason}"
            if isinstance(error, UnicodeDecodeError)
            else f"{name} is not valid {codec.upper()}",
            advice="Convert it to UTF-8.",
        ) from error


def not_utf8(error: UnicodeDecodeError, *, offset: int, line: int) -> str:
    """Say where the first wrong byte is; `offset` is that of the decoded piece."""
    data = bytes(error.object)
    line += data.count(b"\n", 0, error.start)
    return (
        f"byte {offset + error.start} (0x{data[error.start]:02x}, line {line}) "
        "is not UTF-8"
    )
