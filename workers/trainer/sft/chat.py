"""Conversations for a decoder: rendered, encoded, and marked where they are learnt.

Rendering happens in the sandbox. A text that happens to contain the name of a special
token stays text: what a person wrote can never end a turn.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from runspec import Tuning
from sandbox.encoding import TextEncoder, special_variables
from sandbox.errors import TemplateError
from sandbox.render import Conversation, ConversationError, Rendered, Renderer
from sandbox.templates import CHATML, TEMPLATES
from transformers import PreTrainedTokenizerFast

from trainer.errors import BadInputError
from trainer.sft.rows import Example, RowError

IGNORED = -100


@dataclass(frozen=True)
class Template:
    """How this run writes conversations."""

    source: str
    name: str
    end: str
    """Ends a turn of the assistant; empty: found by looking at some."""
    tokens: tuple[str, ...] = ()


def template_of(spec: Tuning, tokenizer: PreTrainedTokenizerFast) -> Template:
    """Return the template a spec chooses; a model's own stays with its end token."""
    if spec.chat_template == "custom":
        return Template(spec.custom_template, "custom", "")
    if spec.chat_template == "model" and tokenizer.chat_template:
        source = tokenizer.chat_template
        if isinstance(source, dict):
            source = source.get("default") or next(iter(source.values()))
        return Template(str(source), "the model's own", "")
    name = "chatml" if spec.chat_template == "model" else spec.chat_template
    chosen = TEMPLATES.get(name, CHATML)
    end = chosen.end or str(tokenizer.eos_token)
    return Template(chosen.source, chosen.title, end, chosen.tokens)


def add_tokens(tokenizer: PreTrainedTokenizerFast, template: Template) -> int:
    """Give a tokenizer the special tokens of a template; return how many were new."""
    known = tokenizer.get_vocab()
    new = [token for token in template.tokens if token not in known]
    return (
        int(tokenizer.add_special_tokens({"extra_special_tokens": new})) if new else 0
    )


def conversation_of(row: dict[str, Any], kind: str) -> Conversation:
    """Return a stored row as messages and tools; of a pair, with the chosen answer."""
    if kind == "instructions":
        system = row.get("system")
        turns = [("system", system)] if system else []
        turns += [("user", row["prompt"]), ("assistant", row["completion"])]
        return {"messages": [{"role": r, "content": text} for r, text in turns]}
    if kind == "preferences":
        row = {"messages": [*(row["prompt"] or []), *row["chosen"]]}
    messages = []
    for stored in row["messages"]:
        message = {"role": stored["role"], "content": stored["content"]}
        if stored.get("tool_calls"):
            message["tool_calls"] = json.loads(stored["tool_calls"])
        messages.append(message)
    tools = row.get("tools")
    return {"messages": messages, **({"tools": json.loads(tools)} if tools else {})}


@dataclass
class ChatEncoder:
    """Turns conversations into ids and labels."""

    tokenizer: PreTrainedTokenizerFast
    template: Template
    renderer: Renderer
    learns_all: bool
    """Whether every token is learnt, or only what the assistant says."""
    text: TextEncoder = field(init=False)

    def __post_init__(self) -> None:
        self.text = TextEncoder(self.tokenizer)

    def __call__(self, rows: list[dict[str, Any]], kind: str) -> list[Example]:
        """Encode rows of a dataset.

        Raises:
            RowError: a row cannot be rendered.
        """
        conversations = [conversation_of(row, kind) for row in rows]
        return [self._example(rendered) for rendered in self.render(conversations)]

    def render(
        self, conversations: list[Conversation], *, as_prompt: bool = False
    ) -> list[Rendered]:
        """Render conversations, the names of special tokens in them broken."""
        try:
            return self.renderer.render(
                self.template.source,
                [self.text.broken(conversation) for conversation in conversations],
                variables=special_variables(self.tokenizer),
                add_generation_prompt=as_prompt,
                find_spans=not self.learns_all and not as_prompt,
            )
        except ConversationError as error:
            raise RowError(
                f"the chat template cannot write it: {error}",
                error.index,
                "Choose another chat_template, or mend the row.",
            ) from error
        except TemplateError as error:
            raise BadInputError(
                f"the chat template cannot be used: {error}",
                "Choose another chat_template.",
            ) from error

    def _example(self, rendered: Rendered) -> Example:
        ids, labels = [], []
        spans = iter(rendered.spans)
        span = next(spans, None)
        for one, start, end in self.text.encode(rendered.text):
            while span is not None and start >= span[1]:
                span = next(spans, None)
            is_said = span is not None and span[0] <= start and end <= span[1]
            ids.append(one)
            labels.append(one if self.learns_all or is_said else IGNORED)
        return Example(ids, labels, len(ids))


def end_of_turns(encoder: ChatEncoder, conversations: list[Conversation]) -> str:
    """Return the special token with which every turn of the assistant ends.

    Raises:
        BadInputError: turns end with text, or with different tokens.
    """
    found: set[int | None] = set()
    ends: set[str] = set()
    for rendered in encoder.render(conversations):
        tokens = list(encoder.text.encode(rendered.text))
        for start, end in rendered.spans:
            inside = [t for t in tokens if t[1] >= start and t[2] <= end]
            last = inside[-1][0] if inside else None
            found.add(last)
            ends.add(rendered.text[start:end][-20:])
    special = set(encoder.tokenizer.all_special_ids)
    if len(found) == 1 and (token := found.pop()) is not None and token in special:
        return str(encoder.tokenizer.convert_ids_to_tokens(token))
    shown = ", ".join(repr(text) for text in sorted(ends)[:3]) or "nothing"
    raise BadInputError(
        "the chat template does not end the assistant's turns with an end token (they "
        f"end with {shown}), so the model would never stop writing",
        "Put {{ eos_token }} behind the assistant's words, inside "
        "{% generation %} … {% endgeneration %}, or choose chat_template chatml.",
    )
