"""Which columns hold which part of a row, and of which kind rows are at all.

Names decide, and what is in the columns must fit. Nothing is guessed where two answers
are as good: then a sentence asks.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from runspec import IngestSpec
from runspec.ingest import PARTS, is_complete

from trainer.errors import BadInputError
from trainer.ingest.errors import listed, shown
from trainer.ingest.kinds.base import Mapping, Sample, type_name
from trainer.ingest.kinds.messages import is_tree, is_turns

NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "instructions": {
        "prompt": ("instruction", "prompt", "question", "query", "problem", "input"),
        "completion": (
            "output", "completion", "response", "answer", "solution",
            "instances.0.output",
        ),
        "input": ("input", "context", "instances.0.input"),
        "system": ("system", "system_prompt"),
    },
    "conversations": {
        "messages": (
            "messages", "conversations", "conversation", "dialogue", "dialog",
            "turns", "thread", "chat", "tree", "prompt",
        ),
        "prompt": ("prompt",),
        "completion": ("completion", "response"),
        "system": ("system", "system_prompt"),
        "tools": ("tools", "functions"),
    },
    "text-to-text": {
        "prompt": (
            "source", "src", "document", "article", "dialogue", "prompt", "input",
            "text",
        ),
        "completion": (
            "target", "tgt", "summary", "highlights", "translation", "completion",
            "output",
        ),
    },
    "labelled": {
        "text": ("text", "sentence", "content", "review", "comment", "document"),
        "label": ("label", "labels", "class", "category", "sentiment", "intent"),
    },
}  # fmt: skip
"""Likely names of columns, best first."""
TEXTS = {"text", "bytes"}
FITS: dict[tuple[str, str], set[str]] = {
    ("conversations", "messages"): {"turns", "a tree", "a list"},
    ("conversations", "prompt"): {"turns"},
    ("conversations", "completion"): {"turns"},
    ("conversations", "tools"): {"a list", "text"},
    ("labelled", "label"): {"text", "a number", "a boolean"},
}
"""What a column must hold, where that is not text."""
ORDER = ("conversations", "instructions", "labelled", "text-to-text")

Shapes = dict[str, set[str]]
"""Columns, `a.b` for what is inside of objects, each with what was seen in it."""


class Recognised(NamedTuple):
    """What the rows of a file are."""

    kind: str
    mapping: Mapping


def shapes_of(rows: list[Any]) -> Shapes:
    """Return the columns in order, with what is in them."""
    seen: Shapes = {}
    for row in rows:
        if isinstance(row, dict):
            for name, value in _paths(row):
                seen.setdefault(name, set()).add(_shape(value))
    return seen


def _paths(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        yield name, value
        inside, prefix = value, name
        if isinstance(value, list) and value and not is_turns(value):
            inside, prefix = value[0], f"{name}.0"
        if isinstance(inside, dict) and not is_tree(inside):
            yield from ((f"{prefix}.{key}", one) for key, one in inside.items())


def _shape(value: Any) -> str:
    if is_tree(value):
        return "a tree"
    return "turns" if is_turns(value) else type_name(value)


def likely(kind: str, part: str, shapes: Shapes) -> Iterator[str]:
    """Return the columns that by name and content may hold a part, best first."""
    names = {name.strip().lower(): name for name in shapes}
    fits = FITS.get((kind, part), TEXTS)
    for wanted in NAMES[kind].get(part, ()):
        name = names.get(wanted)
        if name is None or not shapes[name] & fits:
            continue
        # A list of turns called prompt waits for its completion; a tree does not.
        if (part, wanted) != ("messages", "prompt") or "a tree" in shapes[name]:
            yield name


def guess(kind: str, shapes: Shapes, given: Mapping) -> Mapping | None:
    """Find the columns of a kind by their names, beside those given."""
    mapping = dict(given)
    for part in PARTS[kind]:
        is_inside = "messages" in mapping and part.name in {"prompt", "completion"}
        if part.name in mapping or is_inside:
            continue
        taken = mapping.values()
        free = (name for name in likely(kind, part.name, shapes) if name not in taken)
        if (name := next(free, None)) is not None:
            mapping[part.name] = name
    return mapping if is_complete(kind, set(mapping)) else None


def chooser(kind: str) -> Callable[[Sample, IngestSpec], Mapping]:
    """Return how the columns of a kind are chosen."""

    def choose(sample: Sample, spec: IngestSpec) -> Mapping:
        """Take the columns named, and find the others by their names."""
        given = spec.chosen_columns()
        seen = shapes_of(sample.rows)
        check_given(sample, given, seen)
        if not seen or is_complete(kind, set(given)):
            return given or {part.name: part.name for part in PARTS[kind][:2]}
        found = [
            mapping
            for shapes in _schemas(sample)
            if (mapping := guess(kind, shapes, given)) is not None
        ]
        if not found:
            raise _question(sample, kind, given, seen)
        return _only(sample, [Recognised(kind, mapping) for mapping in found]).mapping

    return choose


def check_given(sample: Sample, given: Mapping, seen: Shapes) -> None:
    """Refuse the name of a column that no row has.

    Raises:
        BadInputError: one is not there.
    """
    for part, column in given.items():
        if seen and column not in seen:
            raise BadInputError(
                f"{sample.file} has no column {shown(column)}; "
                f"it has {listed(list(sample.columns()))}",
                advice=f"Choose one of its columns as the {part}.",
            )


def recognise(sample: Sample) -> Recognised | None:
    """Return what the rows are, or None where their columns do not tell.

    Raises:
        BadInputError: rows of several kinds or shapes are mixed.
    """
    found = []
    for shapes in _schemas(sample):
        if {"chosen", "rejected"} <= {name.lower() for name in shapes}:
            continue
        for kind in ORDER:
            mapping = guess(kind, shapes, {})
            if mapping is not None:
                found.append(Recognised(kind, mapping))
                break
        else:
            if shapes.get("text", set()) & TEXTS:
                found.append(Recognised("text", {"text": "text"}))
    # Among labelled texts a text without its label is a bad row, not another kind.
    if any("text" in one.mapping.values() for one in found if one.kind != "text"):
        found = [one for one in found if one.kind != "text"]
    return _only(sample, found) if found else None


def _schemas(sample: Sample) -> list[Shapes]:
    """Return each set of columns that rows have, with what is in them."""
    groups: dict[tuple[str, ...], list[Any]] = {}
    for row in sample.rows:
        if isinstance(row, dict) and row:
            groups.setdefault(tuple(sorted(row)), []).append(row)
    return [shapes_of(rows) for rows in groups.values()]


def _only(sample: Sample, found: list[Recognised]) -> Recognised:
    """Return the one answer all rows agree on, save for parts some lack."""
    answers = {
        (
            one.kind,
            tuple(
                one.mapping[part.name].lower()
                for part in PARTS[one.kind]
                if part.name in one.mapping
                and (part.is_required or part.name == "messages")
            ),
        )
        for one in found
    }
    if len(answers) > 1:
        sample.refuse_mixture()
    merged: Mapping = {}
    for one in found:
        merged = {**one.mapping, **merged}
    parts = [part.name for part in PARTS[found[0].kind] if part.name in merged]
    return Recognised(found[0].kind, {part: merged[part] for part in parts})


def _question(sample: Sample, kind: str, given: Mapping, seen: Shapes) -> BadInputError:
    """Ask for the first part that no column is likely to hold."""
    needed = [part.name for part in PARTS[kind] if part.is_required] or ["messages"]
    unknown = [
        part
        for part in needed
        if part not in given and next(likely(kind, part, seen), None) is None
    ]
    missing = (unknown or needed)[0]
    what = "holds the turns" if missing == "messages" else f"is the {missing}"
    return BadInputError(
        f"{sample.file} has the columns {listed(list(sample.columns()))}: "
        f"which one {what}?",
        advice=f"Choose it (columns: {missing}), or another kind of rows.",
    )


def layout_of(kind: str, mapping: Mapping, rows: list[Any]) -> str:
    """Say in words how the file writes its rows."""
    if kind == "conversations":
        return _conversation_layout(mapping, rows)
    if kind == "instructions":
        names = {part: name.lower() for part, name in mapping.items()}
        if names["completion"].startswith("instances."):
            return "Self-Instruct tasks"
        if names["prompt"] == "instruction":
            return "Alpaca"
        if (names["prompt"], names["completion"]) == ("prompt", "completion"):
            return "TRL prompt and completion"
    return "a table"


def _conversation_layout(mapping: Mapping, rows: list[Any]) -> str:
    if "messages" not in mapping:
        return "TRL prompt and completion, each a list of turns"
    column = mapping["messages"]
    values = [row.get(column) for row in rows if isinstance(row, dict)]
    if any(map(is_tree, values)):
        return "OpenAssistant trees of replies"
    lists = [value for value in values if isinstance(value, list) and value]
    if lists and isinstance(lists[0][0], dict) and "from" in lists[0][0]:
        return "ShareGPT"
    return "OpenAI messages" + (" with tools" if "tools" in mapping else "")
