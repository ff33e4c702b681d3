"""Plain text: paragraphs, lines or whole files become rows."""

import re
from collections.abc import Iterator
from typing import Literal

from trainer.errors import BadInputError
from trainer.ingest.encoding import Utf8, not_utf8
from trainer.ingest.rows import Notes, TextBatch

TextRows = Literal["paragraph", "line", "file"]
BLANK_LINES = re.compile(rb"\n(?:[ \t\r]*\n)+")
BATCH_BYTES = 2**20


class TextReader:
    """Cuts UTF-8 into rows; a file row keeps every character, the others their own.

    Lines end at LF only; a carriage return before it is dropped from lines and
    paragraphs. A file is one row, or as many as its length needs: joined together
    they are the file.
    """

    def __init__(
        self, source: Utf8, name: str, *, rows: TextRows, max_characters: int
    ) -> None:
        self._source = source
        self._name = name
        self._rows = rows
        self._max_characters = max_characters
        self._offset = source.offset
        self._line = 1

    def batches(self, notes: Notes) -> Iterator[TextBatch]:
        """Return the rows in order.

        Raises:
            BadInputError: it is not text.
        """
        pending = b""
        for chunk in self._source:
            pending += chunk
            if len(pending) < BATCH_BYTES:
                continue
            cut = self._cut(pending)
            if cut:
                yield self._batch(pending[:cut], notes)
                pending = pending[cut:]
        is_whole = self._offset == self._source.offset
        if pending and not (is_whole and pending.isspace()):
            yield self._batch(pending, notes)

    def _cut(self, pending: bytes) -> int:
        """Return how much of `pending` is complete rows, or may be cut off."""
        if self._rows == "line":
            cut = pending.rfind(b"\n") + 1
        elif self._rows == "paragraph":
            cut = _last_blank_line(pending)
        else:
            cut = 0
        if cut or len(pending) < 4 * self._max_characters:
            return cut
        # One endless row: give away whole pieces, and keep what may not be whole.
        text = pending[: 4 * self._max_characters].decode(errors="replace")
        if "\ufffd" in text:
            self._check(pending[: 4 * self._max_characters], is_open=True)
        return len(text[: self._max_characters].encode())

    def _check(self, data: bytes, *, is_open: bool = False) -> None:
        """Refuse what is not text; `is_open` allows a character cut at the end."""
        try:
            data.decode()
        except UnicodeDecodeError as error:
            if is_open and error.end == len(data) and "end of data" in error.reason:
                return
            raise BadInputError(
                f"{self._name}: "
                + not_utf8(error, offset=self._offset, line=self._line),
                advice="Convert the file to UTF-8.",
            ) from error

    def _batch(self, data: bytes, notes: Notes) -> TextBatch:
        self._check(data)
        if (nul := data.find(b"\0")) >= 0:
            raise BadInputError(
                f"{self._name}: byte {self._offset + nul} (line "
                f"{self._line + data.count(bytes([10]), 0, nul)}) is NUL: this looks "
                "like a binary file, or UTF-16 without its mark",
                advice="Convert the file to UTF-8 and remove NUL characters.",
            )
        self._offset += len(data)
        self._line += data.count(b"\n")
        if self._rows == "file":
            return self._limited([data])

        if b"\r\n" in data:
            data = data.replace(b"\r\n", b"\n")
            notes.add(f"{self._name}: CRLF line ends are read as LF")
        if self._rows == "line":
            rows = data.split(b"\n")
        else:
            rows = [part.strip(b"\n") for part in BLANK_LINES.split(data)]
        return self._limited([row for row in rows if row and not row.isspace()])

    def _limited(self, rows: list[bytes]) -> TextBatch:
        """Cut rows that are too long; a row is never longer in characters."""
        most = self._max_characters
        if not rows or max(map(len, rows)) <= most:
            return TextBatch(rows)
        cut: list[bytes] = []
        num_cut = 0
        for row in rows:
            text = row.decode() if len(row) > most else ""
            if len(text) <= most:
                cut.append(row)
                continue
            num_cut += 1
            pieces = (text[at : at + most] for at in range(0, len(text), most))
            cut += [piece.encode() for piece in pieces]
        return TextBatch(cut, num_cut)


def _last_blank_line(data: bytes) -> int:
    """Return where the last paragraph in `data` begins; 0 where there is only one."""
    at = data.rfind(b"\n\n")
    crlf = data.rfind(b"\n\r\n")
    return max(at + 2 if at >= 0 else 0, crlf + 3 if crlf >= 0 else 0)
