"""From a `Prompt` to the ids a model reads, nothing cut, nothing added unseen."""

import hashlib
import threading
from dataclasses import dataclass
from typing import Any

from runspec.serving import Prompt, Rendered
from sandbox.encoding import TextEncoder, mended, special_variables
from sandbox.errors import TemplateError
from sandbox.render import Conversation, Renderer
from sandbox.render import Rendered as Conversed
from tokenizers import Tokenizer

from inference.errors import RefusedError
from inference.vocabulary import Vocabulary

MOST_RENDERED_CHARACTERS = 20_000_000
"""Beginnings of a conversation are rendered to see what each message adds; beyond this
many characters in all, shares are counted by the lengths of the messages."""


@dataclass(frozen=True)
class Read:
    """A prompt as a model reads it."""

    text: str
    ids: list[int]
    starts: list[int]
    """Where in `source` each token begins; empty where it is no conversation."""
    source: str
    """The text, names of special tokens still broken where people wrote them."""
    template_sha256: str


class Templates:
    """The child process that renders, started again when a template killed it."""

    def __init__(self) -> None:
        self._renderer: Renderer | None = None
        self._lock = threading.Lock()

    def render(
        self, template: str, conversations: list[Conversation], **options: Any
    ) -> list[Conversed]:
        """Render conversations; see `sandbox.render.Renderer.render`."""
        with self._lock:
            if self._renderer is None or not self._renderer.is_alive:
                self._renderer = Renderer()
            return self._renderer.render(template, conversations, **options)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            if self._renderer is not None:
                self._renderer.close()


class PromptReader:
    """Reads prompts for one model. May be used by several threads."""

    def __init__(
        self,
        tokenizer: Any,
        vocabulary: Vocabulary,
        templates: Templates,
        *,
        num_ids: int,
    ) -> None:
        """Take a tokenizer as transformers loads it.

        `num_ids` is the model's, which may have more than the tokenizer has tokens.
        """
        self.vocabulary = vocabulary
        self.templates = templates
        self.template = template_of(tokenizer)
        self._variables = special_variables(tokenizer)
        # A copy: what encodes is switched back and forth, and others decode with it.
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        self._encoder = TextEncoder(tokenizer, self._backend)
        self._splits_special = bool(getattr(tokenizer, "split_special_tokens", False))
        names = [tokenizer.mask_token, *tokenizer.get_added_vocab()]
        self._gaps = [
            name
            for name in names
            if name and (name == tokenizer.mask_token or "extra_id" in name)
        ]
        self._lock = threading.Lock()
        self.num_ids = num_ids

    @property
    def template_sha256(self) -> str:
        """Of the chat template; empty where there is none."""
        if not self.template:
            return ""
        return hashlib.sha256(self.template.encode()).hexdigest()

    def read(self, prompt: Prompt, *, as_question: bool = True) -> Read:
        """Return what a model will see; `as_question` lets the template ask to answer.

        Raises:
            RefusedError: it cannot be read by this model.
        """
        given = [prompt.text, prompt.messages, prompt.ids]
        if sum(one is not None for one in given) != 1:
            raise bad_prompt("give exactly one of text, messages and ids")
        if prompt.messages is not None:
            return self._read_messages(prompt, as_question=as_question)
        if prompt.tools or prompt.continues:
            raise bad_prompt("tools and continues go with messages only")
        if prompt.ids is not None:
            return self._read_ids(prompt.ids)
        return self.read_text(prompt.text or "")

    def read_text(self, text: str) -> Read:
        """Encode a text with the special tokens the tokenizer puts around it.

        Names of special tokens in it count as the tokenizer is set up; gaps to be
        filled (masks, sentinels) always do, since nothing else could write them.
        """
        has_gaps = any(name in text for name in self._gaps)
        with self._lock:
            self._backend.encode_special_tokens = self._splits_special and not has_gaps
            ids = list(self._backend.encode(text).ids)
        if not ids:
            raise bad_prompt("the prompt is empty")
        return Read(text, ids, [], text, "")

    def _read_ids(self, ids: tuple[int, ...]) -> Read:
        if not ids:
            raise bad_prompt("the prompt is empty")
        wrong = [one for one in ids if not 0 <= one < self.num_ids]
        if wrong:
            raise bad_prompt(
                f"the id {wrong[0]} is none of the model's {self.num_ids:,} tokens"
            )
        text = self.vocabulary.tokenizer.decode(list(ids), skip_special_tokens=False)
        return Read(text, list(ids), [], text, "")

    def _read_messages(self, prompt: Prompt, *, as_question: bool) -> Read:
        if not self.template:
            raise RefusedError(
                400,
                "no_chat_template",
                "this model has no chat template: it completes text and was not "
                "taught to converse; send it text",
                "messages",
            )
        conversation = self._conversation(prompt)
        try:
            source = self._rendered(prompt, conversation, as_question=as_question)
        except TemplateError as error:
            raise bad_prompt(f"the chat template cannot write this: {error}") from error
        with self._lock:
            encoded = list(self._encoder.encode(source))
        if not encoded:
            raise bad_prompt("the chat template writes nothing")
        return Read(
            text=mended(source),
            ids=[one for one, _, _ in encoded],
            starts=[start for _, start, _ in encoded],
            source=source,
            template_sha256=self.template_sha256,
        )

    def _conversation(self, prompt: Prompt) -> Conversation:
        messages = list(prompt.messages or ())
        if not messages:
            raise bad_prompt("there are no messages")
        if prompt.tools and "tools" not in self.template:
            raise RefusedError(
                400,
                "tools_not_supported",
                "this model's chat template knows no tools",
                "tools",
            )
        tools = {"tools": list(prompt.tools)} if prompt.tools else {}
        broken: Conversation = self._encoder.broken({"messages": messages, **tools})
        return broken

    def _rendered(
        self, prompt: Prompt, conversation: Conversation, *, as_question: bool
    ) -> str:
        continues = prompt.continues
        [found] = self.templates.render(
            self.template,
            [conversation],
            variables=self._variables,
            add_generation_prompt=as_question and not continues,
            find_spans=continues,
        )
        return left_open(found, conversation) if continues else found.text

    def render(self, prompt: Prompt, context: int) -> Rendered:
        """Return a prompt with what each token and each message is in it."""
        read = self.read(prompt)
        return Rendered(
            text=read.text,
            ids=tuple(read.ids),
            pieces=tuple(self.vocabulary.text_of(one) for one in read.ids),
            message_tokens=self._message_tokens(prompt, read),
            context=context,
            template_sha256=read.template_sha256,
        )

    def _message_tokens(self, prompt: Prompt, read: Read) -> tuple[int, ...]:
        """Return how many tokens each message adds.

        A message ends where the conversation up to it, rendered, ends. Where that
        cannot be rendered or differs, it counts with the message after it.
        """
        if prompt.messages is None:
            return ()
        conversation = self._conversation(prompt)
        messages = conversation["messages"]
        ends: list[int] = []
        for count in self._ends(conversation, read):
            ends.append(max([count, *ends[-1:]]))
        if prompt.continues:
            ends[-1] = len(read.source)
        counted = [sum(start < end for start in read.starts) for end in ends]
        assert len(counted) == len(messages)
        return tuple(
            after - before
            for before, after in zip([0, *counted[:-1]], counted, strict=True)
        )

    def _ends(self, conversation: Conversation, read: Read) -> list[int]:
        """Return where each message ends in the rendered text; 0 where unknown."""
        messages = conversation["messages"]
        if len(messages) * len(read.source) / 2 > MOST_RENDERED_CHARACTERS:
            sizes = [len(str(message.get("content", ""))) + 1 for message in messages]
            total = sum(sizes)
            return [
                len(read.source) * sum(sizes[: number + 1]) // total
                for number in range(len(sizes))
            ]
        ends = []
        for count in range(1, len(messages) + 1):
            try:
                [found] = self.templates.render(
                    self.template,
                    [conversation | {"messages": messages[:count]}],
                    variables=self._variables,
                    find_spans=False,
                )
            except TemplateError:
                ends.append(0)
                continue
            is_beginning = read.source.startswith(found.text)
            ends.append(len(found.text) if is_beginning else 0)
        if not ends[-1]:  # whatever the last message is, it is all that is left
            ends[-1] = len(read.source)
        return ends


def left_open(found: Conversed, conversation: Conversation) -> str:
    """Return a rendered text up to the end of what its last message says.

    Raises:
        RefusedError: the last message is none of the assistant's, or the template
            writes it in other words.
    """
    last = conversation["messages"][-1]
    said = last.get("content")
    if last.get("role") != "assistant" or not isinstance(said, str) or not found.spans:
        raise bad_prompt("continues needs a last message that the assistant says")
    start, end = found.spans[-1]
    for words in (said, said.strip()):  # some templates trim
        place = found.text.rfind(words, start, end)
        if place >= 0:
            return found.text[: place + len(words)]
    raise bad_prompt(
        "the chat template writes the last message in other words, so it cannot be "
        "gone on with"
    )


def template_of(tokenizer: Any) -> str:
    """Return the chat template of a tokenizer; empty where it has none."""
    source = tokenizer.chat_template
    if isinstance(source, dict):
        source = source.get("default") or next(iter(source.values()), "")
    return str(source or "")


def bad_prompt(message: str) -> RefusedError:
    """Say what is wrong with a prompt."""
    return RefusedError(400, "invalid_prompt", message, "prompt")
