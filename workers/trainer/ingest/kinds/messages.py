"""Turns of conversations as the world writes them, made one shape.

OpenAI's `role`/`content` (with `tool_calls`, and content in parts), ShareGPT's
`from`/`value`, and the trees of OpenAssistant, in which every turn has replies.

A tree becomes one conversation, not one for each leaf: its leaves share all but their
last turns, so that taking each would repeat the early turns many times and put nearly
equal rows on both sides of a split. What the others were ranked for is preference.
"""

import json
from typing import Any

import pyarrow as pa

from trainer.ingest.errors import BadRowError, shown
from trainer.ingest.kinds.base import clean_text, type_name
from trainer.ingest.rows import Notes

Turn = dict[str, Any]
"""`role`, `content`, and `tool_calls` as JSON or None."""
TURN = pa.struct(
    [("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.string())]
)
"""A turn as it is stored."""

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
}
CALLS = {"function_call", "tool_call"}
"""ShareGPT's roles whose text is the call of a tool."""
MAX_TURNS = 10_000


def is_turns(value: Any) -> bool:
    """Whether a value is a list of turns, or JSON text of one."""
    if isinstance(value, str):
        value = _from_json(value)
    return isinstance(value, list) and bool(value) and all(map(_is_turn, value))


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and ("role" in value or "from" in value)


def is_tree(value: Any) -> bool:
    """Whether a value is a turn with replies."""
    return isinstance(value, dict) and "replies" in value and "text" in value


def _from_json(text: str) -> Any:
    if not text.lstrip().startswith("["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def text_turn(role: str, content: str) -> Turn:
    """Return a turn that only says something."""
    return {"role": role, "content": content, "tool_calls": None}


def as_list(value: Any) -> list[Any] | None:
    """Return a list, or JSON text of one; nothing where it is neither."""
    found = _from_json(value) if isinstance(value, str) else value
    return found if isinstance(found, list) else None


def as_json_list(value: Any) -> str | None:
    """Return a list, or JSON text of one, as JSON; nothing where it is neither."""
    if isinstance(value, str):
        value = _from_json(value)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value:
        return None
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return text.replace("\\u0000", "")


def read_turns(
    value: Any, column: str, most: int, notes: Notes, *, alone: str = ""
) -> list[Turn]:
    """Return the turns of one conversation; `alone` says whose a bare text is.

    Raises:
        BadRowError: one turn is not as it must be, or there is none.
    """
    if isinstance(value, str):
        parsed = _from_json(value)
        if parsed is None and alone:
            content = clean_text(value, column, most, notes)
            return [{"role": alone, "content": content, "tool_calls": None}]
        value = value if parsed is None else parsed
    if isinstance(value, dict) and _is_turn(value):
        value = [value]
    if not isinstance(value, list):
        raise BadRowError(
            f"{shown(column)} is {type_name(value)}, expected a list of turns"
        )
    if not value:
        raise BadRowError(f"{shown(column)} is empty: it has no turn")
    if len(value) > MAX_TURNS:
        raise BadRowError(f"{shown(column)} has more than {MAX_TURNS:,} turns")
    return [
        _turn(turn, number, most, notes) for number, turn in enumerate(value, start=1)
    ]


def _turn(turn: Any, number: int, most: int, notes: Notes) -> Turn:
    where = f"turn {number}"
    if not isinstance(turn, dict):
        raise BadRowError(f"{where} is {type_name(turn)}, expected an object")
    written = turn.get("role", turn.get("from"))
    role = ROLES.get(written.strip().lower()) if isinstance(written, str) else None
    if role is None:
        what = shown(written) if isinstance(written, str) else type_name(written)
        raise BadRowError(
            f"{where} has the role {what}; known are system, user, assistant and tool"
        )
    content = turn.get("content", turn.get("value", turn.get("text")))
    calls = _calls(turn, where) if role == "assistant" else None
    if str(written).strip().lower() in CALLS and calls is None:
        calls, content = as_json_list(content) or _called(content), None
    if calls is not None and content in (None, ""):
        content = ""
    else:
        content = _content(content, where, most, notes)
    if role == "tool" and (turn.get("tool_call_id") or turn.get("name")):
        notes.add("which call a tool's answer belongs to is told by their order alone")
    return {"role": role, "content": content, "tool_calls": calls}


def _called(content: Any) -> str | None:
    """Return a call that is one object of JSON as a list of it."""
    if not isinstance(content, str) or not content.lstrip().startswith("{"):
        return None
    return as_json_list(f"[{content}]")


def _calls(turn: dict[str, Any], where: str) -> str | None:
    value = turn.get("tool_calls") or turn.get("function_call")
    if not value:
        return None
    text = as_json_list(value)
    if text is None:
        raise BadRowError(f"{where} has tool_calls that are no list")
    return text


def _content(content: Any, where: str, most: int, notes: Notes) -> str:
    if content is None:
        raise BadRowError(f"{where} has no content")
    if isinstance(content, list):
        content = _joined(content, where)
    try:
        return clean_text(content, "content", most, notes)
    except BadRowError as error:
        raise BadRowError(f"{where}: {error}") from None


def _joined(parts: list[Any], where: str) -> str:
    """Join content in parts, as OpenAI writes it; only text can be learnt from."""
    texts = []
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            what = part.get("type") if isinstance(part, dict) else type_name(part)
            raise BadRowError(f"{where} holds {shown(what)}; only text can be learnt")
        texts.append(part["text"])
    return "".join(texts)


def best_path(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Follow the best-ranked reply from turn to turn, up to the last answer.

    A reply without a rank stands behind those with one; deleted ones are passed over.
    """
    path = [tree]
    while True:
        replies = path[-1].get("replies")
        kept = [
            reply
            for reply in (replies if isinstance(replies, list) else [])
            if isinstance(reply, dict) and not reply.get("deleted")
        ]
        if not kept or len(path) > MAX_TURNS:
            break
        path.append(min(kept, key=_rank))
    answers = [at for at, turn in enumerate(path) if _is_answer(turn)]
    return path[: answers[-1] + 1] if answers else path


def _rank(reply: dict[str, Any]) -> float:
    rank = reply.get("rank")
    return float(rank) if isinstance(rank, int | float) else float("inf")


def _is_answer(turn: dict[str, Any]) -> bool:
    return ROLES.get(str(turn.get("role"))) == "assistant"
