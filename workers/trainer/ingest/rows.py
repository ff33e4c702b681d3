"""What readers give: rows in batches, each row with its place in the file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Batch:
    """Some rows of one file, and the rows between them that could not be read."""

    unit: str = "line"
    """What `places` count: "line" or "row"."""
    places: Sequence[int] = ()
    values: list[Any] = field(default_factory=list)
    """Parsed rows; one of a table is a dict."""
    bad: list[tuple[int, str]] = field(default_factory=list)
    """(place, reason) of what is not even a row."""


@dataclass
class TextBatch:
    """Rows of a plain text file: already canonical, in UTF-8."""

    rows: list[bytes]
    num_cut: int = 0
    """How many rows were cut because they were too long."""


@dataclass
class Notes:
    """What a reader should know about the dataset later; each said once."""

    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Keep it unless it was said."""
        if text and text not in self.texts and len(self.texts) < 50:
            self.texts.append(text)
