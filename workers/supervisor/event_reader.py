"""Reading a trainer's events file while it grows."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from runspec import events as spoken
from trivium.metrics.services import Point

logger = logging.getLogger(__name__)

MAX_BYTES = 4 << 20
"""Read at once; a line longer than this cannot be an event and is skipped."""


class Batch(NamedTuple):
    """The events of whole lines between two offsets."""

    events: Sequence[spoken.AnyEvent]
    start: int
    end: int

    @property
    def points(self) -> list[Point]:
        """The metric points among them."""
        return [
            Point(event.name, event.step, event.value)
            for event in self.events
            if isinstance(event, spoken.Metric)
        ]

    @property
    def others(self) -> list[spoken.AnyEvent]:
        """All but the metric points."""
        return [item for item in self.events if not isinstance(item, spoken.Metric)]


def read_batch(path: Path, start: int) -> Batch:
    """Return the events after byte `start`; a line still being written is left."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            raw = file.read(MAX_BYTES)
    except FileNotFoundError:
        return Batch([], start, start)
    whole, newline, _ = raw.rpartition(b"\n")
    if not newline:
        skipped = len(raw) if len(raw) == MAX_BYTES else 0
        if skipped:
            logger.warning("%s: a line of more than %s bytes", path, MAX_BYTES)
        return Batch([], start, start + skipped)
    found = []
    for line in whole.split(b"\n"):
        if not line.strip():
            continue
        try:
            found.append(spoken.parse_event(line))
        except ValueError as error:
            logger.warning("%s: a line that is no event: %s", path, error)
    return Batch(found, start, start + len(whole) + 1)


def read_rest(path: Path, start: int) -> Batch:
    """Return all events after byte `start` of a file nobody writes any more."""
    found: list[spoken.AnyEvent] = []
    end = start
    while (batch := read_batch(path, end)).end > end:
        found += batch.events
        end = batch.end
    return Batch(found, start, end)
