"""What is counted in rows of more than one column: lengths, turns, roles, labels."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from runspec.layout import MAX_LABELS

from trainer.ingest.store import Lengths, items, list_lengths, text_lengths

MAX_COUNTED_LABELS = 100_000
"""More different ones are no labels, and would fill the memory."""


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

    def add(self, rows: pa.RecordBatch) -> None:
        """Count some rows; a single column of text has nothing more to tell."""
        if rows.num_columns == 1:
            return
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            if pa.types.is_list(column.type):
                self._add_turns(column)
            elif name == "label":
                if len(self.labels) < MAX_COUNTED_LABELS:
                    self.labels.update(map(str, column.to_pylist()))
            elif column.null_count < len(column):
                found = self.lengths.setdefault(name, Lengths())
                found.add(text_lengths(column.drop_null()))

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
        }
