"""Replies on disk, one a line as they came; a run goes on from whole lines."""

import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from trainer.asking.questions import Reply

SYNC_S = 1.0
"""A loss of power costs the answers of this long at most; a kill costs none that was
told of."""
ABSENT = -1


class PartFile:
    """The replies of one answerer to `total` questions."""

    def __init__(self, path: Path, total: int) -> None:
        """Open it, and see what it holds; a line that was torn is cut off."""
        path.parent.mkdir(exist_ok=True)
        self.path = path
        self.total = total
        self.num_done = 0
        self.num_failed = 0
        self.tokens = 0
        self.spent_s = 0.0
        self.first_error = ""
        self._places = array("q", [ABSENT]) * total
        """Question → where its line begins."""
        self._file = path.open("a+b")
        self._end = self._read()
        self._file.truncate(self._end)
        self._synced_at = time.monotonic()

    @property
    def is_complete(self) -> bool:
        """Whether every question was replied to."""
        return self.num_done == self.total

    @property
    def num_answered(self) -> int:
        """Questions something came of."""
        return self.num_done - self.num_failed

    def has(self, number: int) -> bool:
        """Whether a question was replied to."""
        return self._places[number] != ABSENT

    def add(self, reply: Reply) -> None:
        """Append a reply."""
        line = reply.model_dump_json(exclude_defaults=True).encode() + b"\n"
        self._file.write(line)
        self._note(reply, self._end)
        self._end += len(line)

    def read(self, number: int) -> Reply:
        """Return the reply to a question that `has` one."""
        self._file.seek(self._places[number])
        return Reply.model_validate_json(self._file.readline())

    def flush(self) -> None:
        """Hand all lines to the system, where a killed process cannot lose them."""
        self._file.flush()
        if time.monotonic() - self._synced_at > SYNC_S:
            os.fsync(self._file.fileno())
            self._synced_at = time.monotonic()

    def close(self) -> None:
        """Make sure of all lines."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _read(self) -> int:
        """Note every whole line; return where the last one ends."""
        end = 0
        self._file.seek(0)
        for line in self._file:
            try:
                if not line.endswith(b"\n"):
                    break
                reply = Reply.model_validate_json(line)
            except ValidationError:  # what a loss of power left behind
                break
            if not 0 <= reply.number < self.total:
                break
            self._note(reply, end)
            end += len(line)
        return end

    def _note(self, reply: Reply, place: int) -> None:
        assert not self.has(reply.number), "a question was asked twice"
        self._places[reply.number] = place
        self.num_done += 1
        self.tokens += reply.tokens
        self.spent_s += reply.spent_s
        if reply.is_failed:
            self.num_failed += 1
            self.first_error = self.first_error or reply.error


def write_whole(path: Path, write: Callable[[Callable[[str], None]], None]) -> None:
    """Have `write` write lines; the file is there once all of them are on disk."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    with temporary.open("w", encoding="utf-8") as file:

        def add(line: str) -> None:
            file.write(line + "\n")

        write(add)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
