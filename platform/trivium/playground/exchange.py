"""Conversations as JSON lines: OpenAI's `messages`, one conversation a line."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

ROLES = ("system", "user", "assistant")
MAX_BYTES = 8 * 2**20
MAX_CONVERSATIONS = 1_000
MAX_MESSAGES = 1_000
MAX_NAMED = 20
"""Bad lines that are named one by one."""

Messages = list[dict[str, str]]


class BadLineError(ValueError):
    """One line is no conversation."""


class BadLinesError(ValueError):
    """Some lines are no conversations; `lines` says of each what is wrong."""

    def __init__(self, lines: list[str]) -> None:
        """Keep the sentences."""
        super().__init__(lines[0])
        self.lines = lines


def write_lines(conversations: Iterable[Messages]) -> Iterator[str]:
    """Write each conversation as one line."""
    for messages in conversations:
        yield json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def read_lines(content: bytes) -> list[Messages]:
    """Return the conversations of a file, all of them or none.

    Raises:
        BadLinesError: a line is not as it must be; the first few are named.
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise BadLinesError([f"Line {number} is not written in UTF-8."]) from None
    found: list[Messages] = []
    wrong: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(read_line(line))
        except BadLineError as error:
            wrong.append(f"Line {number}: {error}.")
        if len(wrong) >= MAX_NAMED:
            break
    if not found and not wrong:
        wrong = ["The file holds no conversation."]
    if len(found) > MAX_CONVERSATIONS:
        wrong = [f"The file holds more than {MAX_CONVERSATIONS:,} conversations."]
    if wrong:
        raise BadLinesError(wrong)
    return found


def read_line(line: str) -> Messages:
    """Return one conversation.

    Raises:
        BadLineError: it is none; the text says why.
    """
    try:
        row = json.loads(line)
    except RecursionError:
        raise BadLineError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BadLineError(f"it is no JSON ({error.msg} at {error.colno})") from None
    if not isinstance(row, dict) or "messages" not in row:
        raise BadLineError("it is no object with messages")
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        raise BadLineError("messages is no list of messages")
    if len(messages) > MAX_MESSAGES:
        raise BadLineError(f"it has more than {MAX_MESSAGES:,} messages")
    read = [read_message(one, number) for number, one in enumerate(messages, start=1)]
    check_order(read)
    return read


def read_message(message: Any, number: int) -> dict[str, str]:
    """Return one message with its role and its text."""
    if not isinstance(message, dict):
        raise BadLineError(f"message {number} is no object")
    role = message.get("role")
    if role == "developer":
        role = "system"
    if role not in ROLES:
        raise BadLineError(
            f"message {number} has the role {json.dumps(role)[:40]}; known are "
            + ", ".join(ROLES)
        )
    return {"role": role, "content": read_content(message.get("content"), number)}


def read_content(content: Any, number: int) -> str:
    """Return the text of a message, which OpenAI also writes in parts."""
    if isinstance(content, list):
        found = [part.get("text") for part in content if isinstance(part, dict)]
        texts = [text for text in found if isinstance(text, str)]
        if len(texts) < len(content):
            raise BadLineError(f"message {number} holds a part that is no text")
        content = "".join(texts)
    if not isinstance(content, str):
        raise BadLineError(f"message {number} has no text as its content")
    if "\0" in content:
        raise BadLineError(f"message {number} holds a NUL character")
    try:
        content.encode()
    except UnicodeEncodeError:
        raise BadLineError(f"message {number} holds half of a character") from None
    return content


def check_order(messages: Messages) -> None:
    """Refuse an order that no conversation here could have.

    Raises:
        BadLineError: the system speaks late, or nobody asks.
    """
    roles = [message["role"] for message in messages]
    if "system" in roles[1:]:
        late = roles.index("system", 1) + 1
        raise BadLineError(f"message {late} is the system's; only the first may be")
    asked = [role for role in roles if role != "system"]
    if not asked:
        raise BadLineError("nobody says anything")
    if asked[0] != "user":
        raise BadLineError("the assistant speaks before any user")
