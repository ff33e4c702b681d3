"""What a policy is asked: the prompts of datasets, encoded as it sees them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.generating.rows import before_last_answer, message_of
from trainer.sft.chat import ChatEncoder, conversation_of
from trainer.sft.rows import Example, Limit, RowError, Source, Tally

BATCH = 256
ASKING = {"user", "tool"}
"""Who speaks last before an assistant answers."""


class Asked(NamedTuple):
    """One prompt."""

    ids: list[int]
    """As the policy sees it, up to where the assistant begins to speak."""
    messages: list[dict[str, Any]]
    """The conversation so far."""
    reference: str = ""
    """How the dataset itself answers; empty where it does not."""
    name: str = ""
    """Where it stands, like `row 3 of prompts.jsonl`."""
    source: int = 0
    """Which of the run's datasets it is of, from 0."""

    @property
    def text(self) -> str:
        """The last thing a person said."""
        said = [one["content"] for one in self.messages if one["role"] == "user"]
        return str(said[-1] or "") if said else ""


@dataclass(frozen=True)
class PromptExample(Example):
    """A prompt among rows that are counted; its length leaves room for an answer."""

    asked: Asked = field(default_factory=lambda: Asked([], []))

    @property
    def trained_tokens(self) -> int:
        """Its tokens, or none where it asks nothing."""
        messages = self.asked.messages
        is_usable = messages and messages[-1]["role"] in ASKING
        return len(self.ids) if is_usable else 0


def asked_of(
    sources: list[Source],
    split: str,
    encoder: ChatEncoder,
    *,
    room: int,
    limit: int,
    context: Context,
) -> tuple[list[Asked], Tally]:
    """Return the usable prompts of a split of all sources, and what was counted.

    `room` is kept for an answer; prompt and answer have at most `limit` tokens.

    Raises:
        BadInputError: the template cannot write a prompt.
        Stopped: the run shall stop.
    """
    tally = Tally()
    found: list[Asked] = []
    for number, source in enumerate(sources):
        start, rest = 0, source.rows(split)
        while rows := list(islice(rest, BATCH)):
            if context.stop.is_set():
                raise Stopped
            examples = list(encoded(rows, Place(source, number, start), encoder, room))
            kept = tally.sift(examples, source, start, Limit(limit, "drop"))
            found += [one.asked for _, one in kept if isinstance(one, PromptExample)]
            start += len(rows)
    return found, tally


class Place(NamedTuple):
    """Where rows stand."""

    source: Source
    number: int
    """Which of the run's datasets it is, from 0."""
    start: int
    """Rows before these."""

    def row(self, at: int) -> str:
        """Name one of these rows."""
        return f"row {self.start + at + 1} of {self.source.name}"


def encoded(
    rows: list[dict[str, Any]], place: Place, encoder: ChatEncoder, room: int
) -> Iterator[Example]:
    """Yield rows as prompts, encoded; those that ask nothing have no tokens."""
    asked = [asked_in(row, place.source.card.kind) for row in rows]
    usable = [at for at, (messages, _) in enumerate(asked) if messages]
    conversations = [asked[at][0] for at in usable]
    try:
        found = prompt_ids(encoder, conversations)
    except RowError as error:
        name = place.row(usable[error.index])
        raise BadInputError(f"{name}: {error}", error.advice) from error
    ids = dict(zip(usable, found, strict=True))
    for at, (messages, reference) in enumerate(asked):
        tokens = ids.get(at, [])
        one = Asked(tokens, messages, reference, place.row(at), place.number)
        yield PromptExample(tokens, [], len(tokens) + room, one)


def prompt_ids(
    encoder: ChatEncoder, conversations: list[list[dict[str, Any]]]
) -> list[list[int]]:
    """Return conversations as the policy sees them when it is asked to go on.

    Raises:
        RowError: the template cannot write one.
    """
    if not conversations:
        return []
    texts = encoder.render([{"messages": one} for one in conversations], as_prompt=True)
    return [[one for one, _, _ in encoder.text.encode(each.text)] for each in texts]


def asked_in(row: dict[str, Any], kind: str) -> tuple[list[dict[str, Any]], str]:
    """Return the conversation a row asks to go on with, and how it goes on itself."""
    if kind == "prompts":
        return [message_of(turn) for turn in row["prompt"]], row.get("answer") or ""
    if kind == "preferences":
        prompt = [message_of(turn) for turn in row["prompt"] or []]
        chosen = [turn["content"] or "" for turn in row["chosen"] or []]
        return prompt, chosen[0] if chosen else ""
    messages = [dict(one) for one in conversation_of(row, kind)["messages"]]
    before = before_last_answer(messages)
    is_answered = len(before) < len(messages)
    return before, str(messages[len(before)]["content"] or "") if is_answered else ""


def refuse_no_prompt(tally: Tally, room: int) -> None:
    """Refuse datasets none of whose rows can be asked.

    Raises:
        BadInputError: there is none; some are named.
    """
    if tally.kept:
        return
    if tally.too_long:
        raise BadInputError(
            f"every prompt is longer than the model can see with {room:,} tokens for "
            f"an answer (such as {', '.join(tally.long_rows[:3])})",
            "Lower max_answer_tokens, or choose a model with a longer context.",
        )
    named = ", ".join(tally.untrained[:3])
    raise BadInputError(
        f"no row asks anything (such as {named})"
        if named
        else "the datasets have no training rows",
        "Bring prompts whose last turn is the user's, with a training split.",
    )
