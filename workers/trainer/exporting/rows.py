"""Decided pairs as rows of a dataset of kind `preferences`."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from runspec.labels import LabeledPair
from runspec.layout import Split

from trainer.exporting.deciding import Decision
from trainer.exporting.turns import (
    answer_messages,
    as_turns,
    is_chat,
    prompt_messages,
)
from trainer.ingest.facts import Facts
from trainer.ingest.kinds.preferences import PREFERENCES
from trainer.ingest.store import Counts, SplitWriter

KIND = "preferences"
SCHEMA = PREFERENCES.schema
BATCH_ROWS = 1_000


def row_of(pair: LabeledPair, decision: Decision) -> dict[str, Any]:
    """Return one decided pair in the columns of `SCHEMA`."""
    assert decision.chosen is not None
    assert decision.rejected is not None
    return {
        "prompt": as_turns(prompt_messages(pair)),
        "chosen": as_turns(answer_messages(pair, decision.chosen)),
        "rejected": as_turns(answer_messages(pair, decision.rejected)),
        "is_chat": is_chat(pair),
        "chosen_share": decision.chosen_share,
        "num_votes": decision.tally.num_votes,
        "strength": decision.strength,
        "pair_id": str(pair.id),
    }


class RowWriter:
    """Writes both splits, and counts what a card tells of them."""

    def __init__(self, folder: Path) -> None:
        self._writers = {
            name: SplitWriter(folder, name, SCHEMA) for name in ("train", "validation")
        }
        self._waiting: dict[str, list[dict[str, Any]]] = {
            name: [] for name in self._writers
        }
        self._num_rows = dict.fromkeys(self._writers, 0)
        self.facts = Facts()

    def add(self, split: str, row: dict[str, Any]) -> int:
        """Write a row sooner or later; return its number in the split, from 0."""
        self._waiting[split].append(row)
        if len(self._waiting[split]) >= BATCH_ROWS:
            self._flush(split)
        self._num_rows[split] += 1
        return self._num_rows[split] - 1

    def _flush(self, split: str) -> None:
        rows, self._waiting[split] = self._waiting[split], []
        batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
        self._writers[split].add(batch)
        self.facts.add(batch)

    def finish(self) -> tuple[dict[str, Split], list[str], list[Counts]]:
        """Complete the files; return the splits, the hashes of their content and what
        was counted, that of the training rows first."""
        splits, hashes = {}, []
        for name, writer in self._writers.items():
            self._flush(name)
            split, sha256 = writer.finish()
            hashes.append(sha256)
            if split.rows or name == "train":
                splits[name] = split
        return splits, hashes, [writer.counts for writer in self._writers.values()]
