"""A row of a dataset as what is given to a model and what it shall answer."""

import json
from typing import Any

from trivium.datasets.models import DatasetVersion
from trivium.datasets.preview import read_rows

Row = dict[str, Any]


def first_row(version: DatasetVersion) -> Row | None:
    """Return the first validation row, or training row where there is none."""
    for split in ("validation", "train"):
        try:
            rows, _ = read_rows(version, split, offset=0, limit=1)
        except (KeyError, OSError, ValueError):
            continue
        if rows:
            return rows[0]
    return None


def conversation_of(row: Row) -> dict[str, Any]:
    """Return a row of `instructions` or `conversations` as messages and tools."""
    if "messages" in row:
        messages = [_message(message) for message in row["messages"] or ()]
        tools = _parsed(row.get("tools"))
        return {"messages": messages} | ({"tools": tools} if tools else {})
    turns = [
        ("system", row.get("system")),
        ("user", row.get("prompt")),
        ("assistant", row.get("completion")),
    ]
    return {
        "messages": [
            {"role": role, "content": text} for role, text in turns if text is not None
        ]
    }


def _message(message: Row) -> Row:
    calls = _parsed(message.get("tool_calls"))
    kept = {"role": message.get("role"), "content": message.get("content")}
    return kept | ({"tool_calls": calls} if calls else {})


def _parsed(text: Any) -> Any:
    """Return what a JSON column holds; None where that is nothing."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
