"""Preferences for a decoder: both answers rendered and encoded behind one prompt."""

from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.render import Rendered

from trainer.errors import BadInputError
from trainer.sft.chat import ChatEncoder, conversation_of
from trainer.sft.rows import NUMBERS, Example, RowError, Tally

COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids", *NUMBERS)
"""As TRL names them. A rated text stands whole in one of the two sides."""
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class PairExample(Example):
    """One encoded pair: `ids` is the prompt, `labels` the chosen answer."""

    rejected: list[int] = field(default_factory=list)
    against: float = 0.0
    """Share of the votes for the rejected answer, a tie counting half; 0: not known."""
    strength: float = 0.0
    """How much better the chosen one is, as the data has it; 0: not known."""

    @property
    def trained_tokens(self) -> int:
        """Tokens of the longer answer; none where the two are the same."""
        is_usable = self.labels and self.rejected and self.labels != self.rejected
        return max(len(self.labels), len(self.rejected)) if is_usable else 0

    def cut(self, tokens: int) -> "PairExample":
        """Return it with each side cut at so many tokens, the prompt included."""
        room = max(0, tokens - len(self.ids))
        return replace(
            self,
            ids=self.ids[:tokens],
            labels=self.labels[:room],
            length=min(self.length, tokens),
            rejected=self.rejected[:room],
        )

    def voted(self, row: dict[str, Any]) -> "PairExample":
        """Return it with what a row says of how it was preferred."""
        share, strength = row.get("chosen_share"), row.get("strength")
        return replace(
            self,
            against=0.0 if share is None else 1 - share,
            strength=strength or 0.0,
        )

    def values(self) -> dict[str, list[int] | float]:
        """Return what is kept of it, by column."""
        kept = (self.ids, self.labels, self.rejected, self.against, self.strength)
        return dict(zip(COLUMNS, kept, strict=True))


@dataclass(frozen=True)
class PreferenceEncoder:
    """Turns rows of kind `preferences` into ids.

    For DPO a pair is a prompt and two answers, each ending with its end token. For a
    reward model it is two whole texts, just as the engine writes what it shall score.
    """

    chat: ChatEncoder
    rates: bool

    def __call__(self, rows: list[dict[str, Any]], _kind: str) -> list[Example]:
        """Encode rows of a dataset.

        Raises:
            RowError: a row cannot be rendered.
        """
        rendered = self._rendered(rows)
        return [
            (
                self._whole(row, rendered.get(at))
                if self.rates
                else self._split(row, rendered.get(at), at)
            ).voted(row)
            for at, row in enumerate(rows)
        ]

    def _rendered(self, rows: list[dict[str, Any]]) -> dict[int, list[Rendered]]:
        """Return both sides of each row that is a conversation, by its place."""
        places = [at for at, row in enumerate(rows) if row["is_chat"]]
        conversations = [
            conversation_of(rows[at] | {"chosen": rows[at][side]}, "preferences")
            for at in places
            for side in SIDES
        ]
        if not conversations:
            return {}
        try:
            texts = self.chat.render(conversations)
        except RowError as error:
            raise RowError(
                str(error), places[error.index // 2], error.advice
            ) from error
        return {at: texts[2 * n : 2 * n + 2] for n, at in enumerate(places)}

    def _whole(
        self, row: dict[str, Any], rendered: list[Rendered] | None
    ) -> PairExample:
        if rendered is None:
            tokenizer = self.chat.tokenizer
            texts = [said(row["prompt"]) + said(row[side]) for side in SIDES]
            ids = tokenizer(texts, split_special_tokens=True)["input_ids"]
        else:
            ids = [[t[0] for t in self.chat.text.encode(r.text)] for r in rendered]
        return PairExample([], ids[0], max(map(len, ids)), ids[1])

    def _split(
        self, row: dict[str, Any], rendered: list[Rendered] | None, at: int
    ) -> PairExample:
        """Return prompt and answers, parted where the assistant begins to speak."""
        if rendered is None:
            asked = said(row["prompt"])
            texts = [self.chat.text.broken(asked + said(row[side])) for side in SIDES]
            starts = [len(self.chat.text.broken(asked))] * 2
            end = [self.chat.tokenizer.eos_token_id]
        else:
            spoken = sum(turn["role"] == "assistant" for turn in row["prompt"] or [])
            if any(len(one.spans) <= spoken for one in rendered):
                raise RowError(
                    "the chat template does not mark where its answers begin",
                    at,
                    "Choose another chat_template, such as chatml.",
                )
            starts = [one.spans[spoken][0] for one in rendered]
            texts = [one.text[: one.spans[-1][1]] for one in rendered]
            end = []
        tokens = [list(self.chat.text.encode(text)) for text in texts]
        ids = [[one for one, _, _ in side] + end for side in tokens]
        asks = [
            sum(stop <= start for _, _, stop in side)
            for side, start in zip(tokens, starts, strict=True)
        ]
        shared = min(*asks, num_shared(*ids))
        return PairExample(
            ids[0][:shared], ids[0][shared:], max(map(len, ids)), ids[1][shared:]
        )


def said(turns: list[dict[str, Any]] | None) -> str:
    """Return turns that are plain text."""
    return "".join(turn["content"] for turn in turns or [])


def num_shared(one: list[int], other: list[int]) -> int:
    """Count the tokens two rows begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def refuse_no_pair(tally: Tally) -> None:
    """Refuse rows among which there is no usable pair.

    Raises:
        BadInputError: there is none; some are named.
    """
    if tally.kept:
        return
    if tally.num_untrained:
        raise BadInputError(
            f"no row is a usable pair (such as {', '.join(tally.untrained)}): as the "
            "model reads them, its two answers are the same, or empty",
            "Bring pairs whose answers differ, or raise context if it cuts them off.",
        )
    named = ", ".join(tally.long_rows)
    raise BadInputError(
        f"every pair is longer than the model can see (such as {named})"
        if named
        else "the datasets have no training rows",
        "Set too_long to truncate, or choose a model with a longer context."
        if named
        else "Bring in preferences with a training split.",
    )
