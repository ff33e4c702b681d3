"""Rows of preferences in the shapes that TRL reads.

The reverse of what an ingest does with them: pure functions of one row at a time, so
that any number of rows can be written in constant memory. Fields are named as in TRL's
`dataset_formats`; ties, votes and strengths have no field there.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

Form = Literal["explicit", "implicit", "kto"]
FORMS: dict[str, str] = {
    "explicit": "prompt, chosen and rejected apart, as for DPO",
    "implicit": "the prompt within chosen and rejected, as for reward models",
    "kto": "two rows a pair, each an answer with a label, as for KTO",
}
"""Each form with what it is for."""

Turn = dict[str, Any]


def to_trl(row: dict[str, Any], form: Form) -> list[dict[str, Any]]:
    """Return a stored row in one of TRL's forms: one dict, for `kto` two.

    Turns are lists of `role` and `content` (with `tool_calls` where there are any);
    where the row is plain text they are strings.

    Raises:
        ValueError: there is no such form.
    """
    prompt, chosen, rejected = row["prompt"] or [], row["chosen"], row["rejected"]
    written = _turns if row["is_chat"] else _text
    match form:
        case "explicit":
            sides = {"chosen": written(chosen), "rejected": written(rejected)}
            return [{"prompt": written(prompt), **sides}]
        case "implicit":
            return [
                {
                    "chosen": written([*prompt, *chosen]),
                    "rejected": written([*prompt, *rejected]),
                }
            ]
        case "kto":
            return [
                {"prompt": written(prompt), "completion": written(side), "label": label}
                for side, label in ((chosen, True), (rejected, False))
            ]
    raise ValueError(f"there is no form {form!r}; known are {', '.join(FORMS)}")


def trl_lines(rows: Iterable[dict[str, Any]], form: Form) -> Iterator[str]:
    """Write rows as lines of JSON, one after another."""
    for row in rows:
        for written in to_trl(row, form):
            yield json.dumps(written, ensure_ascii=False) + "\n"


def _turns(turns: list[Turn]) -> list[Turn]:
    return [
        {"role": turn["role"], "content": turn["content"]}
        | ({"tool_calls": calls} if (calls := _calls(turn)) else {})
        for turn in turns
    ]


def _calls(turn: Turn) -> Any:
    """Return the calls of a turn, which are stored as JSON."""
    text = turn.get("tool_calls")
    return json.loads(text) if text else None


def _text(turns: list[Turn]) -> str:
    return "".join(turn["content"] for turn in turns)
