"""Rows for the other architectures: text to text, and text to label."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from trainer.errors import BadInputError
from trainer.sft.rows import Example, RowError, Source

MAX_LABELS = 1000
MAX_SHOWN = 10


def source_text(row: dict[str, Any]) -> str:
    """Return what an encoder-decoder reads, the system's words first."""
    system = row.get("system")
    return f"{system}\n\n{row['prompt']}" if system else str(row["prompt"])


@dataclass(frozen=True)
class PairEncoder:
    """Encodes pairs of text for an encoder-decoder, each closed by the end token."""

    tokenizer: PreTrainedTokenizerFast

    def __call__(self, rows: list[dict[str, Any]], _kind: str) -> list[Example]:
        """Return input ids, and what to write as labels."""
        read = self._ids([source_text(row) for row in rows])
        written = self._ids([str(row["completion"]) for row in rows])
        return [
            Example(ids, labels, max(len(ids), len(labels)))
            for ids, labels in zip(read, written, strict=True)
        ]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return plain_ids(self.tokenizer, texts)


def plain_ids(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    """Encode whole texts framed as the tokenizer frames them, and end each."""
    encoded = tokenizer(texts, split_special_tokens=True)["input_ids"]
    end = tokenizer.eos_token_id
    return [ids if ids and ids[-1] == end else [*ids, end] for ids in encoded]


@dataclass(frozen=True)
class LabelEncoder:
    """Encodes texts for a classifier."""

    tokenizer: PreTrainedTokenizerFast
    labels: tuple[str, ...]

    def __call__(self, rows: list[dict[str, Any]], _kind: str) -> list[Example]:
        """Return input ids, and the number of the label.

        Raises:
            RowError: a label stands in no training row.
        """
        texts = [str(row["text"]) for row in rows]
        encoded = self.tokenizer(texts, split_special_tokens=True)["input_ids"]
        found = []
        for index, (row, ids) in enumerate(zip(rows, encoded, strict=True)):
            if row["label"] not in self.labels:
                raise RowError(
                    f"its label {row['label']!r} stands in no training row", index
                )
            found.append(Example(ids, [self.labels.index(row["label"])], len(ids)))
        return found


def labels_of(sources: Iterable[Source]) -> tuple[str, ...]:
    """Return every label of the training rows, sorted.

    Raises:
        BadInputError: there is only one, or there are too many to be labels.
    """
    found = {str(row["label"]) for source in sources for row in source.rows("train")}
    if len(found) < 2:
        raise BadInputError(
            f"the training rows have {len(found)} label; telling apart takes two",
            "Bring rows with at least two different labels.",
        )
    if len(found) > MAX_LABELS:
        shown = ", ".join(repr(label) for label in sorted(found)[:MAX_SHOWN])
        raise BadInputError(
            f"the training rows have {len(found):,} different labels, such as {shown}; "
            f"at most {MAX_LABELS:,} can be told apart",
            "Choose the column that holds the label when bringing the data in.",
        )
    return tuple(sorted(found))
