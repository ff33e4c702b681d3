"""Answers in the official shapes, whole or as the chunks of a stream.

A shaper takes the events of a request one by one. `take` returns what is to be
streamed of each; `whole` the answer once all were taken. Both tell the same.
"""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from runspec.serving import (
    EndEvent,
    FinishEvent,
    PromptEvent,
    StreamEvent,
    TokensEvent,
    TokenTold,
)

from trivium.openai.schema import ChatRequest, CompletionRequest
from trivium.openai.tools import ToolText

LEAST_LOGPROB = -9999.0
"""What the API says of what is next to impossible."""
BROKEN = "\ufffd"
Body = dict[str, Any]


@dataclass
class Head:
    """What all chunks of an answer share."""

    id: str
    model: str
    created: int = field(default_factory=lambda: int(time.time()))
    fingerprint: str = ""
    """Of the engine and the weights: another one may answer otherwise."""

    def note(self, event: PromptEvent) -> None:
        """Take the fingerprint from how the answer is made."""
        receipt = event.receipt
        made = f"{receipt.engine} {receipt.weights_sha256}".encode()
        self.fingerprint = f"fp_{hashlib.sha256(made).hexdigest()[:10]}"

    def body(self, kind: str, choices: list[Body]) -> Body:
        """Return a body with these choices."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        }


@dataclass
class Usage:
    """Tokens read and written."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt + self.completion

    def add(self, event: EndEvent) -> None:
        """Count a request that ended."""
        self.prompt += event.prompt_tokens
        self.completion += event.completion_tokens

    def body(self) -> Body:
        """Return it in the official shape."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.total,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


class Shaper(Protocol):
    """Turns events into bodies."""

    usage: Usage

    def take(self, number: int, event: StreamEvent, /) -> list[Body]:
        """Take an event of the prompt of this number; return chunks."""

    def whole(self) -> Body:
        """Return the whole answer."""

    def usage_chunk(self) -> Body:
        """Return the chunk that tells the cost of a stream."""


@dataclass
class Choice:
    """One answer so far."""

    text: str = ""
    tokens: list[TokenTold] = field(default_factory=list)
    reason: str | None = None
    tools: ToolText | None = None
    calls: list[Body] = field(default_factory=list)
    offset: int = 0
    """Characters of the tokens told so far, for `text_offset`."""


class ChatShaper:
    """`chat.completion` and `chat.completion.chunk`."""

    def __init__(self, head: Head, asked: ChatRequest) -> None:
        """Begin an answer."""
        self.head, self.asked = head, asked
        self.usage = Usage()
        has_tools = bool(asked.tools) and asked.tool_choice != "none"
        self.choices = [
            Choice(tools=ToolText() if has_tools else None) for _ in range(asked.n or 1)
        ]

    def take(self, _number: int, event: StreamEvent, /) -> list[Body]:
        """Take an event; return chunks."""
        match event:
            case PromptEvent():
                self.head.note(event)
                self.usage.cached += event.receipt.cached_tokens
                role = {"role": "assistant", "content": ""}
                return [self._chunk(i, role) for i in range(len(self.choices))]
            case TokensEvent():
                return self._tokens(event)
            case FinishEvent():
                return self._finish(event)
            case EndEvent():
                self.usage.add(event)
        return []

    def _tokens(self, event: TokensEvent) -> list[Body]:
        choice = self.choices[event.index]
        text = choice.tools.push(event.text) if choice.tools else event.text
        choice.text += text
        tokens = event.tokens if self.asked.logprobs else ()
        choice.tokens += tokens
        if not text and not tokens:
            return []
        told = chat_logprobs(tokens) if tokens else None
        return [self._chunk(event.index, {"content": text}, logprobs=told)]

    def _finish(self, event: FinishEvent) -> list[Body]:
        choice = self.choices[event.index]
        text = event.text
        if choice.tools:
            free = choice.tools.push(text)
            rest, choice.calls = choice.tools.finish()
            text = free + rest
        choice.text += text
        choice.reason = "tool_calls" if choice.calls else told_reason(event)
        chunks = []
        if text:
            chunks.append(self._chunk(event.index, {"content": text}))
        if choice.calls:
            calls = [{"index": i, **call} for i, call in enumerate(choice.calls)]
            chunks.append(self._chunk(event.index, {"tool_calls": calls}))
        return [*chunks, self._chunk(event.index, {}, reason=choice.reason)]

    def _chunk(
        self,
        index: int,
        delta: Body,
        *,
        logprobs: Body | None = None,
        reason: str | None = None,
    ) -> Body:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": reason,
        }
        body = self.head.body("chat.completion.chunk", [choice])
        return body | {"usage": None} if self.asked.has_usage else body

    def usage_chunk(self) -> Body:
        """Return the chunk that tells the cost."""
        body = self.head.body("chat.completion.chunk", [])
        return body | {"usage": self.usage.body()}

    def whole(self) -> Body:
        """Return the whole answer."""
        choices = [
            self._whole(index, choice) for index, choice in enumerate(self.choices)
        ]
        body = self.head.body("chat.completion", choices)
        return body | {"usage": self.usage.body()}

    def _whole(self, index: int, choice: Choice) -> Body:
        message: Body = {
            "role": "assistant",
            "content": choice.text,
            "refusal": None,
        }
        if choice.calls:
            message |= {"content": choice.text or None, "tool_calls": choice.calls}
        has_logprobs = self.asked.logprobs
        return {
            "index": index,
            "message": message,
            "logprobs": chat_logprobs(choice.tokens) if has_logprobs else None,
            "finish_reason": choice.reason,
        }


class CompletionShaper:
    """`text_completion`, which streams in the shape it has as a whole."""

    def __init__(self, head: Head, asked: CompletionRequest) -> None:
        """Begin an answer."""
        self.head, self.asked = head, asked
        self.usage = Usage()
        self.num = asked.n or 1
        self.choices = [Choice() for _ in range(self.num * len(asked.prompts))]

    def take(self, number: int, event: StreamEvent, /) -> list[Body]:
        """Take an event; return chunks."""
        match event:
            case PromptEvent():
                self.head.note(event)
                self.usage.cached += event.receipt.cached_tokens
                return self._echo(number, event) if self.asked.echo else []
            case TokensEvent():
                tokens = event.tokens if self.asked.logprobs is not None else ()
                return self._say(number, event.index, event.text, tokens)
            case FinishEvent():
                chunks = self._say(number, event.index, event.text, ())
                place = number * self.num + event.index
                reason = told_reason(event)
                self.choices[place].reason = reason
                return [*chunks, self._chunk(place, "", reason=reason)]
            case EndEvent():
                self.usage.add(event)
        return []

    def _echo(self, number: int, event: PromptEvent) -> list[Body]:
        prompt = self.asked.prompts[number]
        text = prompt if isinstance(prompt, str) else event.receipt.rendered
        chunks = [self._say(number, index, text, ()) for index in range(self.num)]
        return [chunk for row in chunks for chunk in row]

    def _say(
        self, number: int, index: int, text: str, tokens: tuple[TokenTold, ...]
    ) -> list[Body]:
        place = number * self.num + index
        choice = self.choices[place]
        choice.text += text
        choice.tokens += tokens
        if not text and not tokens:
            return []
        told = self._logprobs(tokens, choice.offset) if tokens else None
        choice.offset += sum(len(token.text) for token in tokens)
        return [self._chunk(place, text, logprobs=told)]

    def _logprobs(self, tokens: Any, offset: int) -> Body:
        return legacy_logprobs(tokens, offset, has_top=bool(self.asked.logprobs))

    def _chunk(
        self,
        place: int,
        text: str,
        *,
        logprobs: Body | None = None,
        reason: str | None = None,
    ) -> Body:
        body = self.head.body(
            "text_completion", [legacy_choice(place, text, logprobs, reason)]
        )
        return body | {"usage": None} if self.asked.has_usage else body

    def usage_chunk(self) -> Body:
        """Return the chunk that tells the cost."""
        return self.head.body("text_completion", []) | {"usage": self.usage.body()}

    def whole(self) -> Body:
        """Return the whole answer."""
        has_logprobs = self.asked.logprobs is not None
        choices = [
            legacy_choice(
                place,
                choice.text,
                self._logprobs(choice.tokens, 0) if has_logprobs else None,
                choice.reason,
            )
            for place, choice in enumerate(self.choices)
        ]
        body = self.head.body("text_completion", choices)
        return body | {"usage": self.usage.body()}


def told_reason(event: FinishEvent) -> str:
    """Return why an answer ended, in the words of the API."""
    return "length" if event.reason == "length" else "stop"


def legacy_choice(
    place: int, text: str, logprobs: Body | None, reason: str | None
) -> Body:
    """Return one choice of a completion."""
    return {
        "index": place,
        "text": text,
        "logprobs": logprobs,
        "finish_reason": reason,
    }


def chat_logprobs(tokens: Any) -> Body:
    """Return the probabilities of tokens as chat has them."""
    content = [
        {
            **told_token(token.text, token.logprob, token.bytes),
            "top_logprobs": [
                told_token(text, logprob, bytes_of(text))
                for _, text, logprob in token.top
            ],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def told_token(text: str, logprob: float, raw: tuple[int, ...] | None) -> Body:
    """Return one token with its probability."""
    return {
        "token": text,
        "logprob": max(logprob, LEAST_LOGPROB),
        "bytes": None if raw is None else list(raw),
    }


def bytes_of(text: str) -> tuple[int, ...] | None:
    """Return the bytes of a token's text; None where it is part of a character."""
    return None if BROKEN in text else tuple(text.encode())


def legacy_logprobs(tokens: Any, offset: int, *, has_top: bool) -> Body:
    """Return the probabilities of tokens as completions have them."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [max(token.logprob, LEAST_LOGPROB) for token in tokens],
        "top_logprobs": [by_text(token) for token in tokens] if has_top else None,
        "text_offset": offsets,
    }


def by_text(token: TokenTold) -> dict[str, float]:
    """Return the likeliest tokens; of two that look alike, the likelier one."""
    found: dict[str, float] = {}
    for _, text, logprob in token.top:
        found.setdefault(text, max(logprob, LEAST_LOGPROB))
    return found
