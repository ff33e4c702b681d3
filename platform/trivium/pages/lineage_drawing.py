"""Where the nodes and lines of a lineage are drawn: left to right, or downwards.

A wide screen gets columns; a phone gets rows of two, so that nothing is cut.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

N = TypeVar("N")

WIDTH, HEIGHT = 190, 54
GAP_X, GAP_Y = 46, 14
MARGIN = 4
TALL_WIDTH = 340
PER_ROW = 2
TALL_GAP_X, TALL_GAP_Y, LEVEL_GAP = 12, 10, 34


class Box(NamedTuple, Generic[N]):
    """One node and its place."""

    node: N
    x: float
    y: float
    width: float
    height: float


class Drawing(NamedTuple, Generic[N]):
    """One picture; `lines` are the `d` of SVG paths."""

    width: float
    height: float
    boxes: list[Box[N]]
    lines: list[str]


def draw_wide(
    levels: Sequence[Sequence[N]], edges: Iterable[tuple[N, N]]
) -> Drawing[N]:
    """Draw levels as columns, each in the middle of the height."""
    tallest = max((len(level) for level in levels), default=0)
    height = 2 * MARGIN + tallest * HEIGHT + max(0, tallest - 1) * GAP_Y
    width = 2 * MARGIN + len(levels) * WIDTH + max(0, len(levels) - 1) * GAP_X
    boxes: dict[N, Box[N]] = {}
    for column, level in enumerate(levels):
        taken = len(level) * HEIGHT + (len(level) - 1) * GAP_Y
        top = (height - taken) / 2
        for index, node in enumerate(level):
            x = MARGIN + column * (WIDTH + GAP_X)
            y = top + index * (HEIGHT + GAP_Y)
            boxes[node] = Box(node, x, y, WIDTH, HEIGHT)
    lines = [across(boxes[a], boxes[b]) for a, b in edges]
    return Drawing(width, height, list(boxes.values()), lines)


def draw_tall(
    levels: Sequence[Sequence[N]], edges: Iterable[tuple[N, N]]
) -> Drawing[N]:
    """Draw levels below each other, two nodes a row."""
    boxes: dict[N, Box[N]] = {}
    half = (TALL_WIDTH - 2 * MARGIN - TALL_GAP_X) / PER_ROW
    y: float = MARGIN
    for level in levels:
        for start in range(0, len(level), PER_ROW):
            row = level[start : start + PER_ROW]
            taken = len(row) * half + (len(row) - 1) * TALL_GAP_X
            left = (TALL_WIDTH - taken) / 2
            for index, node in enumerate(row):
                x = left + index * (half + TALL_GAP_X)
                boxes[node] = Box(node, x, y, half, HEIGHT)
            y += HEIGHT + TALL_GAP_Y
        y += LEVEL_GAP - TALL_GAP_Y
    height = max(y - LEVEL_GAP, 0) + MARGIN
    lines = [downwards(boxes[a], boxes[b]) for a, b in edges]
    return Drawing(TALL_WIDTH, height, list(boxes.values()), lines)


def across(start: Box[N], end: Box[N]) -> str:
    """Return a curve from the right side of a box to the left side of another."""
    x1, y1 = start.x + start.width, start.y + start.height / 2
    x2, y2 = end.x, end.y + end.height / 2
    bend = max(20.0, (x2 - x1) / 2)
    return (
        f"M{x1:.0f} {y1:.1f}C{x1 + bend:.0f} {y1:.1f} "
        f"{x2 - bend:.0f} {y2:.1f} {x2:.0f} {y2:.1f}"
    )


def downwards(start: Box[N], end: Box[N]) -> str:
    """Return a curve from the bottom of a box to the top of another."""
    x1, y1 = start.x + start.width / 2, start.y + start.height
    x2, y2 = end.x + end.width / 2, end.y
    bend = max(16.0, (y2 - y1) / 2)
    return (
        f"M{x1:.1f} {y1:.0f}C{x1:.1f} {y1 + bend:.0f} "
        f"{x2:.1f} {y2 - bend:.0f} {x2:.1f} {y2:.0f}"
    )
