"""The same prompts answered side by side: one page of them."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from runspec.evaluated import Told

from trivium.evaluations.models import EvaluatedRow, Evaluation
from trivium.evaluations.queries import SHOWN, rows_of
from trivium.evaluations.showing import Column
from trivium.evaluations.truth import VERDICTS, in_words

PER_PAGE = 20
QUALITIES = (
    "false or harmful",
    "says nothing",
    "right, in a word",
    "right, in a sentence",
)
"""What known truth says of an answer, from 0 to 3."""


@dataclass(frozen=True)
class Side:
    """One model's answer."""

    text: str
    error: str
    is_right: bool | None
    words: str
    """What was said of it: right, wrong, admits, declines …"""
    title: str
    """More of that, for who asks."""
    is_cut: bool


@dataclass(frozen=True)
class Row:
    """One prompt with all its answers."""

    row: EvaluatedRow
    turns: list[tuple[str, str]]
    sides: list[tuple[Column, Side | None]]
    dataset: str


def page_of(
    evaluation: Evaluation,
    asked: QueryDict,
    names: list[str],
    columns: list[Column],
) -> dict[str, Any]:
    """Return the answers an address asks for: `?show= &dataset= &from=`."""
    show = asked.get("show", "")
    show = show if show in SHOWN else ""
    dataset = number_in(asked, "dataset")
    dataset = dataset if dataset is not None and dataset < len(names) else None
    rows = rows_of(evaluation, show=show, dataset=dataset)
    first = number_in(asked, "from") or 0
    found = list(rows.filter(place__gte=first)[: PER_PAGE + 1])
    before = list(
        rows.filter(place__lt=first)
        .order_by("-place")
        .values_list("place", flat=True)[:PER_PAGE]
    )

    def link(**changes: Any) -> str:
        values = {"show": show, "dataset": dataset} | changes
        kept = {key: one for key, one in values.items() if one not in {None, ""}}
        return f"?{urlencode(kept)}#answers"

    used = sorted(set(evaluation.rows.values_list("dataset", flat=True)))
    return {
        "rows": [_row(one, names, columns) for one in found[:PER_PAGE]],
        "num_rows": rows.count(),
        "num_all": evaluation.rows.count(),
        "shown": [
            (label, link(show=name), name == show) for name, label in SHOWN.items()
        ],
        "by_dataset": [("All datasets", link(dataset=None), dataset is None)]
        + [(names[at], link(dataset=at), at == dataset) for at in used]
        if len(used) > 1
        else [],
        "previous": link(**{"from": before[-1]}) if before else "",
        "next": link(**{"from": found[PER_PAGE].place})
        if len(found) > PER_PAGE
        else "",
    }


def number_in(asked: QueryDict, key: str) -> int | None:
    """Return a number an address has, or None for anything else."""
    text = asked.get(key, "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    return int(text) if is_number else None


def _row(row: EvaluatedRow, names: list[str], columns: list[Column]) -> Row:
    told = [
        Told.model_validate(one) if one is not None else None for one in row.answers
    ]
    sides = [_side(one, row.subject) if one is not None else None for one in told]
    return Row(
        row=row,
        turns=[(turn["role"], turn["content"] or "") for turn in row.prompt],
        sides=list(zip(columns, sides, strict=True)),
        dataset=names[row.dataset] if row.dataset < len(names) else "",
    )


def _side(told: Told, subject: str) -> Side:
    is_right = told.is_exact if told.is_right is None else told.is_right
    words = ""
    if told.is_right is not None:
        words = in_words(subject, is_right=told.is_right)
    elif told.is_exact is not None:
        words = "exact" if told.is_exact else "not as expected"
    more = []
    if told.quality is not None and subject not in VERDICTS:
        more.append(QUALITIES[told.quality])
    if told.score is not None:
        more.append(f"reward {told.score:.3f}")
    return Side(
        text=told.text,
        error=told.error,
        is_right=is_right,
        words=words,
        title=", ".join(more),
        is_cut=told.finish_reason == "length",
    )
