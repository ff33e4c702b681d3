"""What commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from trivium.cli.wire import Json


def print_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_line(text: str) -> None:
    """Print one line, without what a terminal would obey."""
    sys.stdout.write(plain(text) + "\n")


def plain(text: str) -> str:
    """Return `text` with control characters made visible; names come from anyone."""
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows in aligned columns; nothing is cut when the output is a file."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in {"id", "rows", "step", "vocabulary", "parameters"}
        table.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(Text(plain(_cell(value))) for value in row))
    console = Console(width=None if sys.stdout.isatty() else 1000, highlight=False)
    console.print(table)


def print_fields(item: Json, names: Sequence[str]) -> None:
    """Print chosen fields of one object, one a line."""
    width = max(len(name) for name in names)
    for name in names:
        value = item.get(name)
        if value not in (None, "", [], {}):
            print_line(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def bytes_text(count: float) -> str:
    """Return a size like `3.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration_text(seconds: float | None) -> str:
    """Return a duration like `2:05` or `1:02:05`."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def date_text(stamp: str | None) -> str:
    """Return a time of day in the reader's zone."""
    if not stamp:
        return "-"
    return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M")
