"""Which rows of each dataset are taken, and what is asked of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runspec.evaluate import ANSWERED, EVALUATED, EvaluateSpec
from runspec.labels import Messages
from runspec.layout import DATASET_CARD, DatasetCard
from runspec.serving import Prompt

from trainer.errors import BadInputError
from trainer.generating.rows import Row, message_of, row_of, split_order, stored_rows
from trainer.judging.words import told

HELD_OUT = "validation"
PREFERENCES = "preferences"
TEXT = "text"


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, of which the first is preferred."""

    row: Row
    chosen: Messages
    rejected: Messages

    @property
    def is_identical(self) -> bool:
        """Whether nobody could prefer one of them."""
        return self.row.chosen.strip() == self.row.rejected.strip()


@dataclass(frozen=True)
class Taken:
    """One dataset, and what of it is taken."""

    place: int
    """Of the dataset in the spec."""
    folder: Path
    card: DatasetCard
    splits: tuple[str, ...]
    most: int

    @property
    def name(self) -> str:
        """How it is named in sentences."""
        return self.card.source_name

    @property
    def available(self) -> int:
        """Rows of the splits."""
        return sum(self.card.splits[name].rows for name in self.splits)

    @property
    def total(self) -> int:
        """Rows that are taken."""
        return min(self.most, self.available)

    @property
    def is_held_out(self) -> bool:
        """Whether training left these rows alone, as far as the dataset knows."""
        return self.splits == (HELD_OUT,)

    @property
    def is_answered(self) -> bool:
        """Whether its rows hold something to answer."""
        return self.card.kind in ANSWERED

    def stored(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows, spread evenly, each with its number over all splits."""
        order = sorted(self.card.splits, key=split_order)
        before = order[: order.index(self.splits[0])]
        first = sum(self.card.splits[name].rows for name in before)
        available, count = self.available, self.total
        wanted = iter([one * available // count for one in range(count)])
        place = next(wanted, None)
        for at, row in enumerate(stored_rows(self.folder, self.card, self.splits)):
            if place is None:
                return
            if at == place:
                yield first + at, row
                place = next(wanted, None)

    def rows(self) -> Iterator[Row]:
        """Yield what is asked."""
        for number, row in self.stored():
            yield row_of(row, number, self.card.kind)

    def pairs(self) -> Iterator[Pair]:
        """Yield rows of preferences with both of their answers."""
        for number, row in self.stored():
            yield Pair(
                row_of(row, number, self.card.kind),
                [message_of(turn) for turn in row["chosen"] or ()],
                [message_of(turn) for turn in row["rejected"] or ()],
            )


def take(spec: EvaluateSpec) -> list[Taken]:
    """Decide which rows of each dataset are taken.

    Raises:
        BadInputError: a dataset is of a kind that nothing is measured on, or has no
            rows of the wanted split.
    """
    return [_take(place, Path(path), spec) for place, path in enumerate(spec.datasets)]


def _take(place: int, folder: Path, spec: EvaluateSpec) -> Taken:
    card = DatasetCard.model_validate_json((folder / DATASET_CARD).read_text())
    if card.kind not in EVALUATED:
        raise BadInputError(
            f"{card.source_name} holds {card.kind}, on which nothing is measured",
            f"Choose datasets of {', '.join(EVALUATED)}.",
        )
    order = sorted(card.splits, key=split_order)
    there = [name for name in order if card.splits[name].rows]
    if not there:
        raise BadInputError(
            f"{card.source_name} has no rows, so there is nothing to measure",
            "Choose a dataset with rows.",
        )
    wants_held_out = spec.rows == HELD_OUT or (
        spec.rows == "auto" and card.kind != "prompts"
    )
    if spec.rows == HELD_OUT and HELD_OUT not in there:
        raise BadInputError(
            f"{card.source_name} has no validation rows",
            "Set rows to all, or bring the dataset in with a validation split.",
        )
    if wants_held_out and HELD_OUT in there:
        there = [HELD_OUT]
    return Taken(place, folder, card, tuple(there), spec.max_rows)


def as_question(row: Row, *, is_chat: bool) -> Prompt:
    """Return a row as a model is asked it: as a conversation, or as bare text."""
    if is_chat:
        return Prompt(messages=tuple(row.messages))
    # Unchecked: one that is far too long shall fail alone.
    return Prompt.model_construct(text=row.text)


def with_answer(row: Row, answer: Messages, *, as_messages: bool) -> Prompt:
    """Return a row with an answer to it, written as reward models are trained."""
    if row.is_chat and as_messages:
        return Prompt(messages=(*row.turns, *answer))
    said = "".join(turn["content"] for turn in answer)
    if row.is_chat:
        return Prompt.model_construct(text=f"{told(row.turns)}\n\n{said}")
    return Prompt.model_construct(text=row.text + said)
