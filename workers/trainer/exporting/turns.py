"""A prompt and its answers as turns, however the campaign wrote them."""

import hashlib
import json
from typing import Any

from runspec.labels import LabeledPair, Side

from trainer.ingest.kinds.messages import Turn, as_json_list

Message = dict[str, Any]


def is_chat(pair: LabeledPair) -> bool:
    """Whether the prompt is a conversation; otherwise answers go on with a text."""
    return not isinstance(pair.prompt, str)


def answer_text(pair: LabeledPair, side: Side) -> str:
    """Return what one side says."""
    return (pair.answer_a if side == "a" else pair.answer_b).text


def prompt_messages(pair: LabeledPair) -> list[Message]:
    """Return the prompt as messages; a text becomes what a user says."""
    if isinstance(pair.prompt, str):
        return [{"role": "user", "content": pair.prompt}]
    return [_message(turn) for turn in pair.prompt]


def answer_messages(pair: LabeledPair, side: Side) -> list[Message]:
    """Return one answer as the message of an assistant."""
    return [{"role": "assistant", "content": answer_text(pair, side)}]


def _message(turn: dict[str, Any]) -> Message:
    """Keep what every reader knows: who speaks, the text, and calls where there are."""
    message = {"role": str(turn.get("role", "")), "content": _text(turn.get("content"))}
    if calls := turn.get("tool_calls"):
        message["tool_calls"] = calls
    return message


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def as_turns(messages: list[Message]) -> list[Turn]:
    """Return messages as a dataset stores them."""
    return [
        {
            "role": message["role"],
            "content": message["content"],
            "tool_calls": as_json_list(message.get("tool_calls")),
        }
        for message in messages
    ]


def prompt_sha256(pair: LabeledPair) -> "hashlib._Hash":
    """Return a hash that is equal for equal prompts, to be gone on with."""
    text = json.dumps([is_chat(pair), prompt_messages(pair)], sort_keys=True)
    return hashlib.sha256(text.encode())
