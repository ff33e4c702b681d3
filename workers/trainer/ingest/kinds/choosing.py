"""Which columns hold which part of a row, and of which kind rows are at all.

Names decide, and what is in the columns must fit. Nothing is guessed where two answers
are as good: then a sentence asks.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from runspec import IngestSpec
from runspec.ingest import PARTS, is_complete, missing_parts, other_ways, ways_of

from trainer.errors import BadInputError
from trainer.ingest.errors import listed, shown
from trainer.ingest.kinds.base import Mapping, Sample, type_name
from trainer.ingest.kinds.messages import is_tree, is_turns
from trainer.ingest.kinds.transcripts import is_transcript

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
    "preferences": {
        "prompt": ("prompt", "instruction", "question", "query", "problem"),
        "chosen": ("chosen", "chosen_response", "response_chosen", "response_j"),
        "rejected": (
            "rejected", "rejected_response", "response_rejected", "response_k",
        ),
        "input": ("input", "context"),
        "system": ("system", "system_prompt"),
        "completions": ("completions", "responses"),
        "answer_a": ("conversation_a", "response_a", "answer_a"),
        "answer_b": ("conversation_b", "response_b", "answer_b"),
        "winner": ("winner",),
        "winner_a": ("winner_model_a", "winner_a"),
        "winner_b": ("winner_model_b", "winner_b"),
        "chosen_score": ("score_chosen", "chosen_score", "chosen_rating"),
        "rejected_score": ("score_rejected", "rejected_score", "rejected_rating"),
        "chosen_share": ("chosen_share", "p_chosen"),
        "num_votes": ("num_votes",),
        "strength": ("strength", "margin"),
        "pair_id": ("pair_id", "question_id", "id"),
    },
    "prompts": {
        "prompt": (
            "prompt", "question", "instruction", "query", "problem", "messages", "text",
        ),
        "input": ("input", "context"),
        "system": ("system", "system_prompt"),
        "answer": ("answer", "gold", "solution", "reference"),
        "category": ("category", "subset", "harm_category"),
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
    ("preferences", "prompt"): {*TEXTS, "turns", "a list"},
    ("preferences", "chosen"): {*TEXTS, "turns"},
    ("preferences", "rejected"): {*TEXTS, "turns"},
    ("preferences", "completions"): {"text", "a list"},
    ("preferences", "answer_a"): {*TEXTS, "turns", "a list"},
    ("preferences", "answer_b"): {*TEXTS, "turns", "a list"},
    ("preferences", "pair_id"): {"text", "a number"},
    ("prompts", "prompt"): {*TEXTS, "turns"},
    ("prompts", "answer"): {"text", "a number", "a boolean"},
    ("prompts", "category"): {"text", "a number"},
    **{
        ("preferences", part): {"text", "a number", "a boolean"}
        for part in (
            "winner_a", "winner_b", "chosen_score", "rejected_score", "chosen_share",
            "num_votes", "strength",
        )
    },
}  # fmt: skip
"""What a column must hold, where that is not text."""
ORDER = (
    "preferences", "conversations", "instructions", "labelled", "text-to-text",
    "prompts",
)  # fmt: skip
INSTRUCTIONS = {"instruction", "question", "query", "problem"}
"""Columns whose text speaks to somebody, rather than being gone on with."""
UNCLEAR = {"text", "messages"}
"""Columns that hold prompts only where a person says so."""
UNPAIRED = {"prompt", "completion", "label"}

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
                seen.setdefault(name, set()).update(_shapes(value))
    return seen


def _paths(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        yield name, value
        inside, prefix = value, name
        if isinstance(value, list) and value and not is_turns(value):
            inside, prefix = value[0], f"{name}.0"
        if isinstance(inside, dict) and not is_tree(inside):
            yield from ((f"{prefix}.{key}", one) for key, one in inside.items())


def _shapes(value: Any) -> set[str]:
    if is_tree(value):
        return {"a tree"}
    if is_turns(value):
        return {"turns"}
    if is_transcript(value):
        return {"text", "a transcript"}
    return {type_name(value)}


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
        if part.name in mapping or part.name in other_ways(kind, set(mapping)):
            continue
        taken = mapping.values()
        free = (name for name in likely(kind, part.name, shapes) if name not in taken)
        if (name := next(free, None)) is not None:
            mapping[part.name] = name
    if kind == "preferences" and not given:
        mapping = _as_transcripts(mapping, shapes)
    return mapping if is_complete(kind, set(mapping)) else None


def _as_transcripts(mapping: Mapping, shapes: Shapes) -> Mapping:
    """Say of chosen and rejected that they are transcripts, where they look it."""
    pair = ("chosen", "rejected")
    held = [shapes.get(mapping.get(part, ""), set()) for part in pair]
    if not all("a transcript" in one for one in held):
        return mapping
    return {
        f"{part}_transcript" if part in pair else part: column
        for part, column in mapping.items()
    }


def is_instruction(column: str) -> bool:
    """Whether a column's name says that its text speaks to somebody."""
    return column.rpartition(".")[2].strip().lower() in INSTRUCTIONS


def chooser(kind: str) -> Callable[[Sample, IngestSpec], Mapping]:
    """Return how the columns of a kind are chosen."""

    def choose(sample: Sample, spec: IngestSpec) -> Mapping:
        """Take the columns named, and find the others by their names."""
        given = spec.chosen_columns()
        seen = shapes_of(sample.rows)
        check_given(sample, given, seen)
        if not seen or is_complete(kind, set(given)):
            return given or {name: name for name in ways_of(kind)[0]}
        if kind == "preferences":
            for shapes in _schemas(sample):
                refuse_unpaired(sample, shapes)
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


def refuse_unpaired(sample: Sample, shapes: Shapes) -> None:
    """Refuse to take single answers, each called good or bad, for anything else.

    Raises:
        BadInputError: the rows are such answers, as TRL's KTO reads them.
    """
    names = {name.strip().lower(): name for name in shapes}
    if not names.keys() >= UNPAIRED or "chosen" in names:
        return
    label = names["label"]
    said = {str(row.get(label)).lower() for row in sample.rows if isinstance(row, dict)}
    if said - {"none", ""} <= {"true", "false"}:
        raise BadInputError(
            f"{sample.file} holds single answers with a label, good or bad (as for "
            "KTO); they are not pairs, since nothing says which is better than which",
            advice="Preferences need two answers to a prompt. The good ones alone "
            "could be brought in as instructions.",
        )


def recognise(sample: Sample) -> Recognised | None:
    """Return what the rows are, or None where their columns do not tell.

    Raises:
        BadInputError: rows of several kinds or shapes are mixed.
    """
    found = []
    for shapes in _schemas(sample):
        refuse_unpaired(sample, shapes)
        for kind in ORDER:
            mapping = guess(kind, shapes, {})
            if kind == "prompts" and mapping and mapping["prompt"].lower() in UNCLEAR:
                continue
            if mapping is not None:
                found.append(Recognised(kind, mapping))
                break
        else:
            if shapes.get("text", set()) & TEXTS:
                found.append(Recognised("text", {"text": "text"}))
    # Among labelled texts a text without its label is a bad row, not another kind.
    if any("text" in one.mapping.values() for one in found if one.kind != "text"):
        found = [one for one in found if one.kind != "text"]
    # And a prompt without what belongs to it is a bad row as well.
    found = [one for one in found if one.kind != "prompts"] or found
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
                if part.name in one.mapping and _tells(one, part.name)
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


def _tells(one: Recognised, part: str) -> bool:
    """Whether a part is one of those without which the rows would be none."""
    return not is_complete(one.kind, set(one.mapping) - {part})


def _question(sample: Sample, kind: str, given: Mapping, seen: Shapes) -> BadInputError:
    """Ask for the first part that no column is likely to hold."""
    there = {
        part.name
        for part in PARTS[kind]
        if part.name in given or next(likely(kind, part.name, seen), None) is not None
    }
    missing = (missing_parts(kind, there) or list(ways_of(kind)[0]))[0]
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
    if kind == "preferences":
        return _preference_layout(mapping, rows)
    if kind == "instructions":
        names = {part: name.lower() for part, name in mapping.items()}
        if names["completion"].startswith("instances."):
            return "Self-Instruct tasks"
        if names["prompt"] == "instruction":
            return "Alpaca"
        if (names["prompt"], names["completion"]) == ("prompt", "completion"):
            return "TRL prompt and completion"
    return "a table"


def _preference_layout(mapping: Mapping, rows: list[Any]) -> str:
    if "chosen_transcript" in mapping:
        return "transcripts of Human and Assistant, as in hh-rlhf"
    if "completions" in mapping:
        return "answers with scores, as in UltraFeedback"
    if "answer_a" in mapping:
        return "battles of two models, as in the Arena"
    column = mapping["chosen"]
    if is_instruction(mapping.get("prompt", "")):
        return "Alpaca with chosen and rejected"
    talks = [row.get(column) for row in rows if isinstance(row, dict)]
    prompt = "explicit prompt" if "prompt" in mapping else "implicit prompt"
    written = "lists of turns" if any(map(is_turns, talks)) else "plain text"
    return f"TRL preferences, {prompt}, {written}"


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
