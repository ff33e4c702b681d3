"""A campaign's votes as flat arrays, which its statistics are computed from.

Names of arrays end in their axes: V votes, J votes of judges.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import QuerySet

from trivium.campaigns.models import Campaign
from trivium.campaigns.questions import AXES
from trivium.comparisons.models import Vote
from trivium.statistics.choices import CODES, MISSING
from trivium.statistics.intervals import Bools, Ints

READ_AT_ONCE = 5_000
COLUMNS = (
    ("comparison_id", "i8"),
    ("labeler_id", "i8"),
    ("round", "i4"),
    ("choice", "i1"),
    ("shown_left", "i1"),
    ("strength", "i1"),
    ("ms_active", "i8"),
    ("guideline", "i4"),
    ("created", "f8"),
    ("comparison__item__gold", "i1"),
    ("comparison__item__is_withdrawn", "?"),
    ("comparison__item__answerer_a", "i8"),
    ("comparison__item__answerer_b", "i8"),
    ("comparison__item__num_words", "i4"),
    ("comparison__item__more_words", "i4"),
)
"""What is read of each standing vote of a person."""


@dataclass(frozen=True, eq=False)
class Votes:
    """The standing votes of people, oldest first."""

    rows_V: np.ndarray
    """Records with the fields of `COLUMNS`; codes as `statistics.choices` has them."""
    axes: dict[str, Ints]
    """What was said of each axis, of those any vote has."""

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one column, by the last part of its name."""
        found: np.ndarray = self.rows_V[FIELDS[name]]
        return found

    @property
    def counted_V(self) -> Bools:
        """Return which count for agreement and ranking.

        Repeats are the same person's, gold items were chosen for being clear, and
        what was withdrawn was so for a reason.
        """
        return np.asarray(
            (self["round"] == 0) & (self["gold"] < 0) & ~self["is_withdrawn"]
        )

    def only(self, chosen_V: Bools) -> "Votes":
        """Return some of the votes."""
        axes = {axis: said_V[chosen_V] for axis, said_V in self.axes.items()}
        return Votes(self.rows_V[chosen_V], axes)


FIELDS = {name.rpartition("__")[2]: name for name, _ in COLUMNS}


def votes_of(campaign: Campaign) -> QuerySet[Vote]:
    """Return every vote on a campaign's comparisons, taken back ones too."""
    return Vote.objects.filter(comparison__item__campaign=campaign)


def read_votes(campaign: Campaign, *, with_axes: bool) -> Votes:
    """Read the standing votes of people, a few bytes each.

    Axes are words within JSON, so reading them takes several times as long.
    """
    standing = votes_of(campaign).filter(undone=None, judge=None).order_by("pk")
    names = [name for name, _ in COLUMNS]
    extra = ["details"] if with_axes else []
    said: list[Any] = []
    found = standing.values_list(*names, *extra).iterator(chunk_size=READ_AT_ONCE)
    rows_V = np.fromiter(
        _records(found, said if with_axes else None), dtype=list(COLUMNS)
    )
    return Votes(rows_V, _axes(said))


def _records(
    rows: Iterable[tuple[Any, ...]], said: list[Any] | None
) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if said is not None:
            said.append((row[-1] or {}).get("axes") or {})
        yield (
            row[0],
            row[1],
            row[2],
            CODES[row[3]],
            CODES[row[4]],
            MISSING if row[5] is None else row[5] - 1,
            row[6],
            row[7],
            row[8].timestamp(),
            CODES.get(row[9], MISSING),
            row[10],
            MISSING if row[11] is None else row[11],
            MISSING if row[12] is None else row[12],
            row[13],
            row[14],
        )


def _axes(said: list[Mapping[str, str]]) -> dict[str, Ints]:
    """Return what was said of each axis, leaving out those nobody spoke of."""
    columns = {
        axis: np.array([CODES.get(one.get(axis, ""), MISSING) for one in said], "i1")
        for axis in AXES
    }
    return {axis: said_V for axis, said_V in columns.items() if (said_V >= 0).any()}


def repeats_of(votes: Votes) -> Ints:
    """Return, for each repeat, where its first vote is; others `MISSING`."""
    repeat_of_V = np.full(len(votes.rows_V), MISSING)
    if not len(votes.rows_V):
        return repeat_of_V
    _, item_V = np.unique(votes["comparison_id"], return_inverse=True)
    labelers, labeler_V = np.unique(votes["labeler_id"], return_inverse=True)
    key_V = item_V.astype(np.int64) * len(labelers) + labeler_V
    first = np.flatnonzero(votes["round"] == 0)
    again = np.flatnonzero(votes["round"] > 0)
    if not len(first):
        return repeat_of_V
    order = first[np.argsort(key_V[first], kind="stable")]
    at = np.minimum(np.searchsorted(key_V[order], key_V[again]), len(order) - 1)
    is_found = key_V[order[at]] == key_V[again]
    repeat_of_V[again[is_found]] = order[at[is_found]]
    return repeat_of_V
