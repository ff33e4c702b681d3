"""What of a conversation a model will see: nothing is cut without a word."""

from dataclasses import dataclass, field
from typing import Any

from runspec.serving import Prompt, Rendered, RenderRequest

from trivium.playground.models import Conversation
from trivium.serving.choices import ModelChoice
from trivium.serving.client import call_sync
from trivium.serving.errors import ServingError

Messages = list[dict[str, str]]
_ask: Any = call_sync
LEAST_ROOM = 16
"""Tokens an answer needs to be worth beginning."""


class DoesNotFitError(ValueError):
    """A conversation is longer than the model sees; the sentence says by how much."""


@dataclass(frozen=True)
class Fit:
    """How a conversation lies in a model's window."""

    messages: Messages
    """What the model will see."""
    dropped: Messages = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    """Of each message that is kept."""
    num_prompt: int = 0
    context: int = 0
    """0 where the model's server does not tell."""

    @property
    def num_left(self) -> int:
        """Tokens left for the answer."""
        return max(self.context - self.num_prompt, 0)


def prompt_of(choice: ModelChoice, messages: Messages) -> Prompt:
    """Return a conversation as this model takes it.

    Models that were only pretrained have no turns: they go on with the text. Models
    that rewrite texts get the last message.
    """
    if choice.architecture == "encoder-decoder":
        return Prompt(text=messages[-1]["content"])
    if choice.endpoint is None and choice.stage == "base":
        return Prompt(text="\n\n".join(one["content"] for one in messages))
    return Prompt(messages=tuple(messages))


def fit(choice: ModelChoice, messages: Messages, *, overflow: str) -> Fit:
    """Return what fits the model's window, or refuse.

    With `drop_oldest` the first messages after the system's are left out, as few as
    will do; never the last one.

    Raises:
        DoesNotFitError: it does not, and nothing may be left out.
        ServingError: the model's node cannot say.
    """
    if choice.endpoint is not None:
        return Fit(messages)
    kept = list(messages)
    dropped: Messages = []
    num_fixed = 1 if kept and kept[0]["role"] == "system" else 0
    while True:
        measured = measure(choice, kept)
        excess = measured.num_prompt + LEAST_ROOM - measured.context
        if excess <= 0:
            return Fit(
                kept, dropped, measured.tokens, measured.num_prompt, measured.context
            )
        may_drop = (
            overflow == Conversation.Overflow.DROP_OLDEST
            and len(kept) > num_fixed + 1
            and bool(measured.tokens)
        )
        if not may_drop:
            raise DoesNotFitError(too_long(measured))
        # As many of the oldest as cover the excess; then it is measured again.
        while excess > 0 and len(kept) > num_fixed + 1:
            excess -= measured.tokens.pop(num_fixed)
            dropped.append(kept.pop(num_fixed))
        # An answer without its question would open the conversation.
        while len(kept) > num_fixed + 1 and kept[num_fixed]["role"] == "assistant":
            dropped.append(kept.pop(num_fixed))


def measure(choice: ModelChoice, messages: Messages) -> Fit:
    """Count the tokens of a conversation as the model will see it.

    Raises:
        ServingError: it cannot be rendered, or no node is there.
    """
    request = RenderRequest(model=choice.ref, prompt=prompt_of(choice, messages))
    rendered: Rendered = _ask(choice, "/render", request)
    return Fit(
        messages,
        tokens=list(rendered.message_tokens),
        num_prompt=len(rendered.ids),
        context=rendered.context,
    )


def too_long(measured: Fit) -> str:
    """Say by how much a conversation is too long, and what to do."""
    return (
        f"This conversation has {measured.num_prompt:,} tokens; the model sees "
        f"{measured.context:,}, and {LEAST_ROOM} of them are kept for its answer. "
        "Shorten it, begin a new one, or let the oldest messages be left out "
        "(Settings, When it gets too long)."
    )


__all__ = ["DoesNotFitError", "Fit", "ServingError", "fit", "measure", "prompt_of"]
