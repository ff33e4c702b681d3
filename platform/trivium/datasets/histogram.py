"""The bars of the chart of row lengths."""

from typing import NamedTuple

WIDTH = 560
HEIGHT = 140
GAP = 4
MAX_BAR = 56


class Bar(NamedTuple):
    """One bar, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    label: str
    """The longest length counted here."""
    lengths: str
    """From the shortest to the longest."""
    rows: int
    share: float


def bars(histogram: list[tuple[int, int]]) -> list[Bar]:
    """Lay out (upper bound, rows) pairs; a bar with any row is at least visible."""
    total = sum(rows for _, rows in histogram)
    if not total:
        return []
    highest = max(rows for _, rows in histogram)
    step = WIDTH / len(histogram)
    width = min(step - GAP, MAX_BAR)
    made = []
    for index, (bound, rows) in enumerate(histogram):
        middle = (index + 0.5) * step
        height = max(2.0, HEIGHT * rows / highest) if rows else 0.0
        made.append(
            Bar(
                x=round(middle - width / 2, 1),
                y=round(HEIGHT - height, 1),
                width=round(width, 1),
                height=round(height, 1),
                middle=round(middle, 1),
                label=_short(bound),
                lengths=f"{bound // 2 + 1:,} to {bound:,}" if bound > 2 else f"{bound}",
                rows=rows,
                share=100 * rows / total,
            )
        )
    return made


def _short(number: int) -> str:
    """Return 512, 4k, 1M: powers of two in little room."""
    for size, letter in ((2**20, "M"), (2**10, "k")):
        if number >= size:
            return f"{number // size}{letter}"
    return str(number)


class Share(NamedTuple):
    """One line of a chart of shares."""

    label: str
    rows: int
    share: float
    """Of all rows, in percent."""
    length: float
    """Of its bar, in percent of the longest."""


def shares(counts: list[tuple[str, int]]) -> list[Share]:
    """Lay out (label, rows) pairs as bars beside each other."""
    total = sum(rows for _, rows in counts)
    highest = max((rows for _, rows in counts), default=0)
    return [
        Share(label, rows, 100 * rows / total, round(100 * rows / highest, 1))
        for label, rows in counts
        if rows
    ]
