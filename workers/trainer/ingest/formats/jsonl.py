"""JSON lines, and JSON arrays element by element."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from trainer.errors import BadInputError
from trainer.ingest.encoding import Utf8, not_utf8
from trainer.ingest.formats.lines import whole_lines
from trainer.ingest.rows import Batch

SPACE = re.compile(r"[ \t\r\n]*")
BATCH_ROWS = 1000


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
SCAN: Callable[[str, int], tuple[Any, int]] = DECODER.scan_once  # type: ignore[attr-defined]
"""Not in the type stubs, but in every release since 2.6."""


def _value(line: str) -> Any:
    """Parse one line; `scan_once` alone takes a third off what `decode` costs."""
    try:
        value, end = SCAN(line, 0)
    except StopIteration:
        return DECODER.decode(line)
    if end != len(line) and line[end:] != "\r":
        return DECODER.decode(line)
    return value


def _reason(error: Exception) -> str:
    """Say why a piece of text is not JSON, without quoting the text."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if str(error).endswith("is not JSON"):
        return str(error)
    return "not JSON: a number has too many digits"


def read_json_lines(source: Utf8, name: str, *, max_bytes: int) -> Iterator[Batch]:
    """Parse one value a line; blank lines are nothing."""
    line = 0
    offset = source.offset
    for piece in whole_lines(source, name=name, max_bytes=max_bytes):
        batch = Batch(places=(places := []))
        lines: list[str | bytes]
        try:
            lines = list(piece.decode().split("\n"))
        except UnicodeDecodeError:
            lines = list(piece.split(b"\n"))
        if piece.endswith(b"\n"):
            lines.pop()
        for content in lines:
            line += 1
            if not content or content.isspace():
                continue
            try:
                batch.values.append(_value(_text(content)))
                places.append(line)
            except UnicodeDecodeError as error:
                at = offset + piece.find(error.object)
                batch.bad.append((line, not_utf8(error, offset=at, line=line)))
            except (ValueError, RecursionError) as error:
                batch.bad.append((line, _reason(error)))
        offset += len(piece)
        yield batch


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()


def starts_json_array(source: Utf8) -> bool:
    """Whether the content is one JSON array rather than lines.

    A first line that is a complete array of its own, with more lines behind it, is a
    (bad) row of JSON lines.
    """
    head = source.head.lstrip()
    if not head.startswith(b"["):
        return False
    first, _, rest = head.partition(b"\n")
    if not rest.strip():
        return True
    try:
        DECODER.decode(first.decode(errors="replace"))
    except (ValueError, RecursionError):
        return True
    return False


def starts_json_lines(source: Utf8) -> bool:
    """Whether the content is objects, the first of them complete on its line."""
    first = source.head.lstrip().partition(b"\n")[0]
    try:
        return isinstance(DECODER.decode(first.decode(errors="replace")), dict)
    except (ValueError, RecursionError):
        return False


class ArrayReader:
    """Parses a JSON array in constant memory, element by element."""

    def __init__(self, source: Utf8, name: str, *, max_bytes: int) -> None:
        self._source = source
        self._name = name
        self._max_bytes = max_bytes
        self._text = ""
        self._at = 0
        self._line = 1
        self._chunks = self._decoded()

    def batches(self) -> Iterator[Batch]:
        """Return the elements; after one that cannot be parsed nothing can.

        Raises:
            BadInputError: it is not a JSON array.
        """
        self._expect("[")
        batch = Batch()
        places: list[int] = []
        is_first = True
        while self._peek() != "]" or not is_first:
            places.append(self._line)
            batch.values.append(self._element())
            is_first = False
            if len(places) == BATCH_ROWS or self._at > 2**20:
                batch.places = places
                yield batch
                batch, places = Batch(), []
            if self._peek() == "]":
                break
            self._expect(",")
        self._expect("]")
        if self._peek():
            raise self._broken("there is more after the array's end")
        batch.places = places
        yield batch

    def _decoded(self) -> Iterator[str]:
        """Decode the pieces; the first wrong byte ends it."""
        pending = b""
        offset = self._source.offset
        for chunk in self._source:
            pending += chunk
            cut = len(pending)
            try:
                text = pending.decode()
            except UnicodeDecodeError as error:
                if "end of data" not in error.reason or error.end != len(pending):
                    self._refuse_bytes(error, offset)
                cut = error.start
                text = pending[:cut].decode()
            offset += cut
            pending = pending[cut:]
            yield text
        if pending:
            raise BadInputError(f"{self._name} is truncated inside a character")

    def _refuse_bytes(self, error: UnicodeDecodeError, offset: int) -> NoReturn:
        line = self._line + self._text.count("\n", self._at)
        raise BadInputError(
            f"{self._name}: {not_utf8(error, offset=offset, line=line)}",
            advice="Convert the file to UTF-8.",
        ) from error

    def _more(self) -> bool:
        """Read on; what was parsed is let go."""
        chunk = next(self._chunks, "")
        # As much again as is waiting: a long element is not parsed once a chunk.
        parts = [self._text[self._at :], chunk]
        have = len(parts[0])
        got = len(chunk)
        while chunk and got < have:
            chunk = next(self._chunks, "")
            parts.append(chunk)
            got += len(chunk)
        self._text = "".join(parts)
        self._at = 0
        if have > self._max_bytes:
            raise self._broken(f"an element is longer than {self._max_bytes:,} bytes")
        return bool(got)

    def _advance(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _peek(self) -> str:
        """Return the next character that is not space; empty at the end."""
        while True:
            match = SPACE.match(self._text, self._at)
            assert match is not None
            self._advance(match.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _expect(self, mark: str) -> None:
        found = self._peek()
        if found != mark:
            what = f"found {found!r}" if found else "the file ends"
            raise self._broken(f'expected "{mark}", {what}')
        self._advance(self._at + 1)

    def _element(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, json.JSONDecodeError) and self._more():
                    continue
                reason = _reason(error).partition(" at character")[0]
                raise self._broken(reason) from error
            # A number at the very end of what was read may go on.
            if end == len(self._text) and self._more():
                continue
            self._advance(end)
            return value

    def _broken(self, reason: str) -> BadInputError:
        return BadInputError(
            f"{self._name}: the JSON array breaks at line {self._line}: {reason}",
            advice="Mend the file, or send JSON lines: one row a line, each alone.",
        )
