"""A metric against each swept setting, as points of an SVG."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from trivium.pages.templatetags.numbers import decimal
from trivium.runs.differences import value_in_words
from trivium.runs.models import Run

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 34
MAX_TICKS = 6
WIDE_RATIO = 20
"""Values this far apart are drawn over their logarithm."""


class Point(NamedTuple):
    """One run."""

    x: float
    y: float
    run: Run
    title: str
    is_best: bool


class Tick(NamedTuple):
    """One number beside an axis."""

    place: float
    label: str


class Plot(NamedTuple):
    """One setting."""

    label: str
    metric: str
    points: list[Point]
    line: str
    """Through the best run of each value: `x,y x,y`."""
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    is_log: bool


def plot_metric(
    setting: str,
    label: str,
    metric: str,
    runs: Sequence[Run],
    values: dict[int, float],
    *,
    better: str,
    best: float | None,
) -> Plot | None:
    """Return a metric over one swept setting; None while no run has it."""
    shown = [run for run in runs if math.isfinite(values.get(run.pk, math.nan))]
    if not shown:
        return None
    settings = [run.sweep_values.get(setting) for run in shown]
    place_x, x_ticks, is_log = x_axis(settings)
    place_y, y_ticks = y_axis([values[run.pk] for run in shown])
    points = [
        Point(
            place_x(value),
            place_y(values[run.pk]),
            run,
            f"{run.name}: {label} {value_in_words(value)}, "
            f"{metric} {decimal(values[run.pk])}",
            values[run.pk] == best,
        )
        for run, value in zip(shown, settings, strict=True)
    ]
    choose = min if better == "high" else max
    tops: dict[float, float] = {}
    for point in points:
        # Larger y lies lower: the best low value has the largest y.
        tops[point.x] = choose(tops.get(point.x, point.y), point.y)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(tops.items()))
    points.sort(key=lambda point: point.is_best)
    return Plot(label, metric, points, line, x_ticks, y_ticks, is_log)


def x_axis(values: Sequence[Any]) -> tuple[Callable[[Any], float], list[Tick], bool]:
    """Return where a value is drawn, the labels, and whether it is logarithmic."""
    numbers = [value for value in values if is_number(value)]
    if len(numbers) < len(values):
        return choice_axis(values)
    distinct = sorted(set(numbers))
    is_log = distinct[0] > 0 and distinct[-1] / distinct[0] >= WIDE_RATIO
    scale: Callable[[float], float] = math.log if is_log else float
    low, high = scale(distinct[0]), scale(distinct[-1])

    def place(value: Any) -> float:
        share = (scale(value) - low) / (high - low) if high > low else 0.5
        return LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 20)

    ticks = [Tick(place(value), value_in_words(value)) for value in few(distinct)]
    return place, ticks, is_log


def choice_axis(
    values: Sequence[Any],
) -> tuple[Callable[[Any], float], list[Tick], bool]:
    """Return an axis on which each different value has a place of its own."""
    order = {value: index for index, value in enumerate(dict.fromkeys(values))}

    def place(value: Any) -> float:
        room = (WIDTH - LEFT - RIGHT) / len(order)
        return LEFT + (order[value] + 0.5) * room

    ticks = [
        Tick(place(value), value_in_words(value)[:12]) for value in list(order)[:8]
    ]
    return place, ticks, False


def y_axis(values: Sequence[float]) -> tuple[Callable[[float], float], list[Tick]]:
    """Return where a figure is drawn, and the labels of lowest, middle and highest."""
    low, high = min(values), max(values)
    middle = (low + high) / 2

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return HEIGHT - BOTTOM - 8 - share * (HEIGHT - TOP - BOTTOM - 16)

    shown = [low, middle, high] if high > low else [low]
    return place, [Tick(place(value), decimal(value)) for value in shown]


def few(values: list[Any]) -> list[Any]:
    """Return so many values that their labels do not touch, both ends among them."""
    if len(values) <= MAX_TICKS:
        return values
    last = len(values) - 1
    places = {round(index * last / (MAX_TICKS - 1)) for index in range(MAX_TICKS)}
    return [values[place] for place in sorted(places)]


def is_number(value: Any) -> bool:
    """Whether a value has a place on a line."""
    return isinstance(value, int | float) and not isinstance(value, bool)
