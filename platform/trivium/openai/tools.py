"""Calls of tools, as models write them into their text.

Hermes, Qwen and many others say `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.
"""

import json
import uuid
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"


class ToolText:
    """Text in which calls may come: what is a call, or may become one, is held back."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._held = ""
        self._is_call = False

    def push(self, text: str) -> str:
        """Take more text; return what is certainly none of a call."""
        self._held += text
        if self._is_call:
            return ""
        place = self._held.find(OPEN)
        if place < 0:
            place = len(self._held) - _begun(self._held)
        else:
            self._is_call = True
        free, self._held = self._held[:place], self._held[place:]
        return free

    def finish(self) -> tuple[str, list[dict[str, Any]]]:
        """Return what is left as text, and the calls; broken ones stay text."""
        held, self._held = self._held, ""
        if not self._is_call:
            return held, []
        calls, rest = [], ""
        for piece in held.split(OPEN)[1:]:
            body, _, after = piece.partition(CLOSE)
            call = _call(body)
            if call is None:
                return held, []
            calls.append(call)
            rest += after
        return rest.strip(), calls


def _begun(text: str) -> int:
    """Return how many characters at the end may be the beginning of a call."""
    sizes = range(len(OPEN) - 1, 0, -1)
    return next((size for size in sizes if text.endswith(OPEN[:size])), 0)


def _call(body: str) -> dict[str, Any] | None:
    try:
        said = json.loads(body)
        name, arguments = said["name"], said.get("arguments", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not isinstance(name, str):
        return None
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "id": f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": name, "arguments": written},
    }


def for_template(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call a client sends back, as templates read it: arguments opened."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return call
    try:
        opened = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": opened}}
