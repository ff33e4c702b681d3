"""Rendering conversations in a child process that a hostile template cannot leave."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import TemplateError

ROOTS = Path(__file__).resolve().parents[1]
WALL_S = 10.0
"""For an answer to begin to be due; the child's own limit is shorter."""
WALL_PER_CONVERSATION_S = 0.05
BATCH = 200
TOO_MUCH = "takes more time or memory than it may (2 s and 512 MB for a conversation)"

Conversation = dict[str, Any]
"""`messages`, each with `role` and `content`, and perhaps `tools`."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as text."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Where in it the assistant speaks: (start, end) in characters."""


class ConversationError(TemplateError):
    """One conversation cannot be rendered."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index
        """Its number among those given."""


class Renderer:
    """A child process that renders; one request at a time."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "sandbox.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # Nothing of the parent's environment: no secret, no proxy, no setting.
            env={"PYTHONPATH": str(ROOTS), "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )

    def render(
        self,
        template: str,
        conversations: Sequence[Conversation],
        *,
        variables: dict[str, str] | None = None,
        add_generation_prompt: bool = False,
        find_spans: bool = True,
    ) -> list[Rendered]:
        """Return each conversation as text.

        `variables` are the special tokens a template may name, like `eos_token`.

        Raises:
            ConversationError: a conversation cannot be rendered.
            TemplateError: the child had to be ended.
        """
        request = {
            "template": template,
            "conversations": list(conversations),
            "variables": {"bos_token": "", "eos_token": ""} | (variables or {}),
            "add_generation_prompt": add_generation_prompt,
            "find_spans": find_spans,
        }
        patience = WALL_S + WALL_PER_CONVERSATION_S * len(conversations)
        answer = json.loads(self._ask(json.dumps(request).encode() + b"\n", patience))
        if "error" in answer:
            raise ConversationError(answer["error"], answer["index"])
        return [
            Rendered(item["text"], tuple((start, end) for start, end in item["spans"]))
            for item in answer["rendered"]
        ]

    @property
    def is_alive(self) -> bool:
        """Whether the child is there; one that broke its limits is not."""
        return self._child.poll() is None

    def _ask(self, request: bytes, patience_s: float) -> bytes:
        """Send a line and return a line; the child dies where it does not answer."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        deadline = time.monotonic() + patience_s
        try:
            self._child.stdin.write(request)
            self._child.stdin.flush()
            received = bytearray()
            descriptor = self._child.stdout.fileno()
            while not received.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                    self.close()
                    raise TemplateError(f"the template {TOO_MUCH}")
                block = os.read(descriptor, 1 << 20)
                if not block:
                    raise BrokenPipeError
                received += block
        except BrokenPipeError:
            self.close()
            raise TemplateError(f"the template {TOO_MUCH}") from None
        return bytes(received)

    def close(self) -> None:
        """End the child."""
        self._child.kill()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # what was never read is lost
                    stream.close()
        self._child.wait()


@contextmanager
def renderer() -> Iterator[Renderer]:
    """Yield a child process that renders, and end it."""
    made = Renderer()
    try:
        yield made
    finally:
        made.close()


def render_conversations(
    template: str,
    conversations: Sequence[Conversation],
    *,
    variables: dict[str, str] | None = None,
    add_generation_prompt: bool = False,
) -> list[Rendered]:
    """Render some conversations in a child of their own.

    Raises:
        ConversationError: a conversation cannot be rendered.
        TemplateError: the template breaks its limits.
    """
    with renderer() as made:
        found: list[Rendered] = []
        for start in range(0, len(conversations), BATCH):
            try:
                found += made.render(
                    template,
                    conversations[start : start + BATCH],
                    variables=variables,
                    add_generation_prompt=add_generation_prompt,
                )
            except ConversationError as error:
                raise ConversationError(str(error), start + error.index) from error
        return found
