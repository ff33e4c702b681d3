"""Where the nodes and lines of a lineage are drawn: left to right, or downwards.

A short line of things gets columns. A long one, and any on a phone, goes downwards, a
few nodes a row, so that nothing is cut at the side.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

N = TypeVar("N")

WIDTH, HEIGHT = 144, 54
GAP_X, GAP_Y = 38, 14
MARGIN = 4
ROW_GAP_X, ROW_GAP_Y, LEVEL_GAP = 12, 10, 34
BOW = 32
"""How far the handles of a line lie outside that goes around a box."""


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
    room_for_bows = BOW if len(levels) > 2 else 0
    return Drawing(width, height + room_for_bows, list(boxes.values()), lines)


def draw_tall(
    levels: Sequence[Sequence[N]],
    edges: Iterable[tuple[N, N]],
    *,
    width: float,
    per_row: int,
) -> Drawing[N]:
    """Draw levels below each other, up to `per_row` nodes a row."""
    boxes: dict[N, Box[N]] = {}
    one = (width - 2 * MARGIN - (per_row - 1) * ROW_GAP_X) / per_row
    y: float = MARGIN
    for level in levels:
        for start in range(0, len(level), per_row):
            row = level[start : start + per_row]
            taken = len(row) * one + (len(row) - 1) * ROW_GAP_X
            left = (width - taken) / 2
            for index, node in enumerate(row):
                x = left + index * (one + ROW_GAP_X)
                boxes[node] = Box(node, x, y, one, HEIGHT)
            y += HEIGHT + ROW_GAP_Y
        y += LEVEL_GAP - ROW_GAP_Y
    height = max(y - LEVEL_GAP, 0) + MARGIN
    lines = [downwards(boxes[a], boxes[b]) for a, b in edges]
    return Drawing(width, height, list(boxes.values()), lines)


def across(start: Box[N], end: Box[N]) -> str:
    """Return a curve from the right side of a box to the left side of another.

    One that would pass behind a column at the same height goes below it instead.
    """
    x1, y1 = start.x + start.width, start.y + start.height / 2
    x2, y2 = end.x, end.y + end.height / 2
    if x2 - x1 > WIDTH and abs(y2 - y1) < HEIGHT:
        x1, y1 = start.x + start.width / 2, start.y + start.height
        x2, y2 = end.x + end.width / 2, end.y + end.height
        low = max(y1, y2) + BOW
        return f"M{x1:.1f} {y1:.1f}C{x1:.1f} {low:.1f} {x2:.1f} {low:.1f} {x2:.1f} {y2}"
    bend = max(20.0, (x2 - x1) / 2)
    return (
        f"M{x1:.0f} {y1:.1f}C{x1 + bend:.0f} {y1:.1f} "
        f"{x2 - bend:.0f} {y2:.1f} {x2:.0f} {y2:.1f}"
    )


def downwards(start: Box[N], end: Box[N]) -> str:
    """Return a curve from the bottom of a box to the top of another.

    One that would pass behind a row in the same place goes beside it instead.
    """
    x1, y1 = start.x + start.width / 2, start.y + start.height
    x2, y2 = end.x + end.width / 2, end.y
    if y2 - y1 > HEIGHT and abs(x2 - x1) < start.width:
        x1, y1 = start.x + start.width, start.y + start.height / 2
        x2, y2 = end.x + end.width, end.y + end.height / 2
        out = max(x1, x2) + BOW
        return f"M{x1:.1f} {y1:.1f}C{out:.1f} {y1:.1f} {out:.1f} {y2:.1f} {x2:.1f} {y2}"
    bend = max(16.0, (y2 - y1) / 2)
    return (
        f"M{x1:.1f} {y1:.0f}C{x1:.1f} {y1 + bend:.0f} "
        f"{x2:.1f} {y2 - bend:.0f} {x2:.1f} {y2:.0f}"
    )
