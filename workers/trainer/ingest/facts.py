"""What is counted in rows of more than one column: lengths, turns, roles, labels."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from runspec.layout import MAX_LABELS, PairFacts

from trainer.ingest.store import Lengths, items, list_lengths, text_lengths

MAX_COUNTED_LABELS = 100_000
"""More different ones are no labels, and would fill the memory."""


UNMEASURED = {"chosen_share", "num_votes", "strength", "pair_id"}
"""Columns that hold no text anybody learns from."""
ORDER = ("system", "user", "assistant", "tool")


def _in_talk(role: str) -> int:
    """Sort roles as they speak; other columns stay as they are, behind them."""
    return ORDER.index(role) if role in ORDER else len(ORDER)


class Facts:
    """Counts over the rows of both splits."""

    def __init__(self) -> None:
        self.lengths: dict[str, Lengths] = {}
        self.turns: Counter[int] = Counter()
        self.roles: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.num_rows = 0
        self.num_chat = 0
        self.pairs = PairCounts()

    def add(self, rows: pa.RecordBatch) -> None:
        """Count some rows; a single column of text has nothing more to tell."""
        if rows.num_columns == 1:
            return
        self.num_rows += len(rows)
        if "chosen" in rows.schema.names:
            self.pairs.add(rows)
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            if name == "messages":
                self._add_turns(column)
            elif name == "is_chat":
                self.num_chat += column.to_pylist().count(True)
            elif name in {"label", "category"}:
                if len(self.labels) < MAX_COUNTED_LABELS:
                    self.labels.update(map(str, column.drop_null().to_pylist()))
            elif name in UNMEASURED or column.null_count == len(column):
                continue
            else:
                found = self.lengths.setdefault(name, Lengths())
                found.add(text_lengths(column.drop_null()))
            if name == "prompt" and pa.types.is_list(column.type):
                self.turns.update(list_lengths(column).tolist())

    def _add_turns(self, column: "pa.Array[Any]") -> None:
        self.turns.update(list_lengths(column).tolist())
        turns = items(column)
        roles = turns.field("role")
        self.roles.update(roles.to_pylist())
        said = text_lengths(turns.field("content"))
        for role in self.roles:
            is_role = pc.call_function("equal", [roles, pa.scalar(role)])
            lengths = said[is_role.to_numpy(zero_copy_only=False)]
            self.lengths.setdefault(role, Lengths()).add(lengths)

    def as_card(self) -> dict[str, Any]:
        """Return the fields of a card."""
        names = sorted(self.lengths, key=_in_talk)
        return {
            "column_lengths": {
                name: bins for name in names if (bins := self.lengths[name].bins())
            },
            "turns": sorted(self.turns.items()),
            "roles": {
                role: self.roles[role] for role in sorted(self.roles, key=_in_talk)
            },
            "labels": self.labels.most_common(MAX_LABELS),
            "num_labels": len(self.labels),
            "chat_rows": self.num_chat,
        }


class PairCounts:
    """Counts over pairs of answers."""

    def __init__(self) -> None:
        self.num_pairs = 0
        self.longer = [0, 0]
        self.characters = [0, 0]
        self.num_blank = 0
        self.num_voted = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Count some pairs."""
        answers = [rows.column(name) for name in ("chosen", "rejected")]
        chosen, rejected = map(text_lengths, answers)
        self.num_pairs += len(rows)
        for side, lengths in enumerate((chosen, rejected)):
            self.longer[side] += int((lengths > (rejected, chosen)[side]).sum())
            self.characters[side] += int(lengths.sum())
        texts = [column.to_pylist() for column in answers]
        self.num_blank += sum(
            _words(one) == _words(other) for one, other in zip(*texts, strict=True)
        )
        shares = rows.column("chosen_share")
        self.num_voted += len(shares) - shares.null_count

    def as_facts(self, **found: int) -> PairFacts:
        """Return them beside what was found otherwise."""
        return PairFacts(
            num_pairs=self.num_pairs,
            chosen_longer=self.longer[0],
            rejected_longer=self.longer[1],
            chosen_characters=self.characters[0],
            rejected_characters=self.characters[1],
            blank_differences=self.num_blank,
            num_voted=self.num_voted,
            **found,
        )


def _words(turns: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return who says which words, whatever white space is between them."""
    return [
        (turn["role"], f"{turn['content']} {turn['tool_calls'] or ''}".split())
        for turn in turns
    ]
