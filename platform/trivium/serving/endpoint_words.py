"""What is said to servers that speak the OpenAI API, and what they say, translated.

They tell no token ids, so none are made up: a token they give a probability of has the
id -1, and an entropy of 0 means that it is unknown. Only settings that differ from
their defaults are sent, since servers refuse those they do not know.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from runspec.openai_words import settings_of
from runspec.serving import (
    EndEvent,
    FinishEvent,
    FinishReason,
    GenerateRequest,
    PromptEvent,
    Receipt,
    StreamEvent,
    Timings,
    TokensEvent,
    TokenTold,
)

from trivium.serving.choices import ModelChoice
from trivium.serving.errors import ServingError

UNKNOWN_ID = -1
FINISHES: dict[str, FinishReason] = {"length": "length"}


@dataclass
class Translation:
    """One stream of an endpoint on its way to events of ours."""

    is_chat: bool
    begun: float = field(default_factory=time.monotonic)
    first_at: float = 0.0
    num_chunks: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    calls: dict[int, dict[int, dict[str, str]]] = field(default_factory=dict)
    """Choice → place → name and arguments of the tool calls it makes."""

    def events(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        """Return what one chunk says."""
        self.usage = chunk.get("usage") or self.usage
        found: list[StreamEvent] = []
        for choice in chunk.get("choices") or ():
            index = int(choice.get("index") or 0)
            delta = choice.get("delta") or {}
            self._note_calls(index, delta)
            text = (delta.get("content") if self.is_chat else choice.get("text")) or ""
            tokens = tokens_in(choice.get("logprobs"), is_chat=self.is_chat)
            if text or tokens:
                self.first_at = self.first_at or time.monotonic()
                self.num_chunks += max(1, len(tokens))
                found.append(TokensEvent(index=index, tokens=tokens, text=text))
            if reason := choice.get("finish_reason"):
                found.append(self._finish(index, reason))
        return found

    def end(self) -> EndEvent:
        """Return the terminal event, with what the endpoint counted, or we did."""
        now = time.monotonic()
        count = int(self.usage.get("completion_tokens") or self.num_chunks)
        answering_s = now - (self.first_at or now)
        return EndEvent(
            prompt_tokens=int(self.usage.get("prompt_tokens") or 0),
            completion_tokens=count,
            timings=Timings(
                queue_s=0.0,
                first_token_s=(self.first_at or now) - self.begun,
                total_s=now - self.begun,
                tokens_per_s=(count - 1) / answering_s if answering_s > 0 else 0.0,
            ),
        )

    def _finish(self, index: int, reason: str) -> FinishEvent:
        self.finished.add(index)
        calls = self.calls.get(index, {})
        text = "".join(
            f"\n<tool_call>\n{json.dumps(_call(calls[place]))}\n</tool_call>"
            for place in sorted(calls)
        )
        told = FINISHES.get(reason, "stop")
        return FinishEvent(index=index, reason=told, text=text)

    def _note_calls(self, index: int, delta: dict[str, Any]) -> None:
        for call in delta.get("tool_calls") or ():
            place = int(call.get("index") or 0)
            held = self.calls.setdefault(index, {}).setdefault(
                place, {"name": "", "arguments": ""}
            )
            function = call.get("function") or {}
            held["name"] += function.get("name") or ""
            held["arguments"] += function.get("arguments") or ""


def _call(held: dict[str, str]) -> dict[str, Any]:
    try:
        arguments = json.loads(held["arguments"] or "{}")
    except ValueError:
        arguments = held["arguments"]
    return {"name": held["name"], "arguments": arguments}


def tokens_in(told: Any, *, is_chat: bool) -> tuple[TokenTold, ...]:
    """Return the tokens a chunk tells the probabilities of."""
    if not told:
        return ()
    if is_chat:
        return tuple(
            TokenTold(
                id=UNKNOWN_ID,
                text=one["token"],
                bytes=tuple(one["bytes"]) if one.get("bytes") else None,
                logprob=one["logprob"],
                entropy=0.0,
                top=tuple(
                    (UNKNOWN_ID, other["token"], other["logprob"])
                    for other in one.get("top_logprobs") or ()
                ),
            )
            for one in told.get("content") or ()
        )
    tops = told.get("top_logprobs") or [{}] * len(told["tokens"])
    return tuple(
        TokenTold(
            id=UNKNOWN_ID,
            text=text,
            bytes=None,
            logprob=logprob,
            entropy=0.0,
            top=tuple((UNKNOWN_ID, one, other) for one, other in (top or {}).items()),
        )
        for text, logprob, top in zip(
            told["tokens"], told["token_logprobs"], tops, strict=True
        )
    )


def asked(choice: ModelChoice, request: GenerateRequest) -> tuple[str, dict[str, Any]]:
    """Return path and body that ask an endpoint the same.

    Raises:
        ServingError: the request needs what the OpenAI API cannot say.
    """
    if request.answered_ids:
        raise ServingError(
            400,
            "not_supported",
            f"{choice.id} runs elsewhere, where a broken-off answer cannot be gone "
            "on with",
        )
    prompt = request.prompt
    body = settings_of(request.sampling) | {
        "model": choice.remote_id,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.n > 1:
        body["n"] = request.n
    if prompt.messages is None:
        body["prompt"] = list(prompt.ids) if prompt.ids is not None else prompt.text
        if request.top_logprobs:
            body["logprobs"] = request.top_logprobs
        return "/completions", body
    body["messages"] = list(prompt.messages)
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if prompt.tools:
        body["tools"] = list(prompt.tools)
    if prompt.continues:  # as vLLM has it
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return "/chat/completions", body


def prompt_event(choice: ModelChoice, request: GenerateRequest) -> PromptEvent:
    """Return the first event: what little is known of how an endpoint answers."""
    assert choice.endpoint is not None
    receipt = Receipt(
        model_key=choice.ref.key,
        weights_sha256="",
        template_sha256="",
        engine=f"{choice.remote_id} at the endpoint {choice.endpoint.name}",
        rendered="",
        prompt_ids=(),
        sampling=request.sampling,
        context=0,
        cached_tokens=0,
        is_exact=False,
    )
    return PromptEvent(receipt=receipt)
