"""What models are asked: the rows of a dataset, as one prompt each."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from runspec.labels import Messages
from runspec.layout import DATASET_CARD, DatasetCard

READ_ROWS = 256
COLUMNS = (
    *("prompt", "is_chat", "category", "chosen", "rejected", "messages"),
    *("answer", "completion", "system"),
)


@dataclass(frozen=True)
class Row:
    """One prompt, and how it was answered elsewhere, if it was."""

    number: int
    """Over all splits, from 0."""
    turns: Messages
    is_chat: bool
    category: str = ""
    chosen: str = ""
    rejected: str = ""
    answer: str = ""
    """The right one, where the row says one."""

    @property
    def text(self) -> str:
        """What goes on with bare text is given: the last thing a person said."""
        if not self.is_chat:
            return "".join(turn["content"] for turn in self.turns)
        said = [turn["content"] for turn in self.turns if turn["role"] == "user"]
        return said[-1] if said else ""

    @property
    def messages(self) -> Messages:
        """What a chat model is given."""
        if self.is_chat:
            return self.turns
        return [{"role": "user", "content": self.text}]


class Rows:
    """The prompts of a dataset, read anew by each who goes through them."""

    def __init__(self, folder: Path, most: int = 0) -> None:
        """Look at the card; `most` are read, all where it is 0."""
        self.folder = folder
        raw = (folder / DATASET_CARD).read_text()
        self.card = DatasetCard.model_validate_json(raw)
        self.total = min(most, self.card.rows) if most else self.card.rows

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in order, training rows first."""
        splits = sorted(self.card.splits, key=split_order)
        stored = stored_rows(self.folder, self.card, splits)
        for number, row in enumerate(islice(stored, self.total)):
            yield row_of(row, number, self.card.kind)


def stored_rows(
    folder: Path, card: DatasetCard, splits: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of splits as they are stored, so far as they are of use here."""
    for name in splits:
        for shard in card.splits[name].shards:
            file = pq.ParquetFile(folder / shard)
            there = [one for one in COLUMNS if one in file.schema_arrow.names]
            for batch in file.iter_batches(READ_ROWS, columns=there):
                yield from batch.to_pylist()


def split_order(name: str) -> tuple[bool, str]:
    """Put the training split first."""
    return name != "train", name


def row_of(stored: dict[str, Any], number: int, kind: str) -> Row:
    """Return a stored row as a prompt."""
    if kind == "conversations":
        turns = [message_of(turn) for turn in stored["messages"]]
        asked = before_last_answer(turns)
        answer = answer_text(turns[len(asked) : len(asked) + 1])
        return Row(number, asked, is_chat=True, answer=answer)
    if kind == "instructions":
        told = [{"role": "system", "content": stored["system"]}]
        asked = [{"role": "user", "content": stored["prompt"]}]
        asked = told + asked if stored.get("system") else asked
        return Row(number, asked, is_chat=True, answer=stored["completion"])
    return Row(
        number,
        [message_of(turn) for turn in stored["prompt"]],
        is_chat=bool(stored["is_chat"]),
        category=stored.get("category") or "",
        chosen=answer_text(stored.get("chosen") or ()),
        rejected=answer_text(stored.get("rejected") or ()),
        answer=stored.get("answer") or "",
    )


def message_of(turn: dict[str, Any]) -> dict[str, Any]:
    """Return a stored turn as templates and servers take it."""
    message = {"role": turn["role"], "content": turn["content"] or ""}
    if turn.get("tool_calls"):
        message["tool_calls"] = json.loads(turn["tool_calls"])
    return message


def before_last_answer(turns: Messages) -> Messages:
    """Return the turns before the assistant's last one; all, where it said nothing."""
    answered = [at for at, turn in enumerate(turns) if turn["role"] == "assistant"]
    return turns[: answered[-1]] if answered else turns


def answer_text(turns: Any) -> str:
    """Return an answer as one text; one of several turns says who speaks."""
    if len(turns) == 1:
        return str(turns[0]["content"] or "")
    return "\n\n".join(f"{turn['role']}: {turn['content'] or ''}" for turn in turns)
