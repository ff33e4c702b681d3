"""What can be wrong with a row, and how names from a file are shown."""

import json
from pathlib import Path
from typing import Any

MAX_LISTED = 100
MAX_SHOWN = 10
MAX_NAME = 60


class BadRowError(ValueError):
    """One row cannot be taken; the text says why."""


class HeldBackError(BadRowError):
    """One row is good only where no row of the dataset is better; `values` is it."""

    def __init__(self, reason: str, values: tuple[Any, ...]) -> None:
        super().__init__(reason)
        self.values = values


class NoPreferenceError(BadRowError):
    """One row prefers neither of its answers: nothing is wrong, it is passed over."""


def shown(name: object) -> str:
    """Return a name from a file, safe in a message: short, and nothing invisible."""
    text = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(name).encode(errors="replace").decode()[:MAX_NAME]
    )
    return f'"{text}…"' if len(str(name)) > MAX_NAME else f'"{text}"'


def listed(names: list[str], most: int = 20) -> str:
    """Return names from a file as a list for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(name) for name in names[:most]) + more


def _place(row: dict[str, str]) -> tuple[str, int]:
    """Split `a.jsonl line 7`, to sort by it."""
    where, _, number = row["place"].rpartition(" ")
    return where, int(number)


class BadRows:
    """Counts every bad row and keeps the first ones, each with place and reason."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[dict[str, str]] = []

    def add(self, place: str, reason: str) -> None:
        """Note one bad row."""
        self.count += 1
        if len(self.first) < MAX_LISTED:
            self.first.append({"place": place, "reason": reason})

    def add_all(self, others: "BadRows") -> None:
        """Note what was found elsewhere, each in its place."""
        self.count += others.count
        both = sorted(self.first + others.first, key=_place)
        self.first = both[:MAX_LISTED]

    def summary(self) -> str:
        """Return the first few as one line of text."""
        parts = [f"{row['place']}: {row['reason']}" for row in self.first[:MAX_SHOWN]]
        if self.count > len(parts):
            parts.append(f"and {self.count - len(parts):,} more")
        return "; ".join(parts)

    def write(self, path: Path) -> None:
        """Leave the list as JSON."""
        content = {"count": self.count, "first": self.first}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False))
