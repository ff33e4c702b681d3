"""Runs beside each other: where their curves ended, how they differ, their points."""

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from runspec import parse_spec

from trivium.metrics import queries as metrics
from trivium.metrics.queries import Curve
from trivium.pages.templatetags import numbers
from trivium.runs import differences
from trivium.runs.charts import MAX_CURVES, MAX_POINTS, is_validation, title_of
from trivium.runs.charts import last_part as kind_of_curve
from trivium.runs.models import Run

MAX_COMPARED = 50
MAX_COLUMNS = 12
LARGE = 1000
"""From here on nobody reads the decimals."""
DIGITS = 6
"""Significant digits of a point: more are not seen, and make answers twice as long."""
SMALLER_IS_BETTER = {"loss", "perplexity", "bits_per_byte", "bits_per_character"}
LARGER_IS_BETTER = {
    "accuracy", "f1", "macro_f1", "exact_match", "rouge1", "rouge2", "rougel",
    "rouge_l", "token_accuracy", "tokens_per_s", "mfu", "reward", "votes",
}  # fmt: skip
X_CHOICES = ("steps", "tokens", "time")


class Figure(NamedTuple):
    """One cell: where a curve of a run ended."""

    value: float | None
    is_best: bool = False

    @property
    def text(self) -> str:
        """The value for a person."""
        is_large = self.value is not None and abs(self.value) >= LARGE
        return numbers.count(self.value) if is_large else numbers.decimal(self.value)


class Column(NamedTuple):
    """One metric."""

    name: str
    title: str
    better: str
    """`low`, `high`, or empty where neither is better."""

    @property
    def largest_first(self) -> str:
        """The address's word for the other order."""
        return f"-{self.name}"

    @property
    def first(self) -> str:
        """The order a first click asks for: the best on top."""
        return self.largest_first if self.better == "high" else self.name

    @property
    def second(self) -> str:
        """The order of the next click."""
        return self.name if self.better == "high" else self.largest_first


class Line(NamedTuple):
    """One run of the table."""

    place: int
    """Its place in the choice, which is its colour."""
    run: Run
    settings: list[str]
    """Where the runs differ."""
    figures: list[Figure]
    duration_s: float | None
    changes: list[differences.Change]
    """Against the first run."""

    @property
    def short_name(self) -> str:
        """The name, of a sweep's member only what tells it from its siblings."""
        is_member = bool(self.run.sweep_values)
        return self.run.name.rpartition(" · ")[2] if is_member else self.run.name

    @property
    def words(self) -> str:
        """The changes as one line."""
        return differences.as_sentence(self.changes)


class Comparison(NamedTuple):
    """Several runs beside each other."""

    lines: list[Line]
    settings: list[differences.Difference]
    columns: list[Column]

    @property
    def base(self) -> Run | None:
        """The run the others are measured against: the one chosen first."""
        first = [line.run for line in self.lines if line.place == 0]
        return first[0] if first else None


def compare_runs(runs: Sequence[Run], *, sort: str = "") -> Comparison:
    """Put runs beside each other; `sort` is a metric, with `-` the largest first."""
    if not runs:
        return Comparison([], [], [])
    names = differences.name_references(runs)
    settings = differences.differences(runs, names)
    ends = metrics.last_values([run.pk for run in runs])
    columns = table_columns({name for found in ends.values() for name in found})
    best = {column.name: best_of(column, ends) for column in columns}
    lines = [
        Line(
            index,
            run,
            [difference.values[index] for difference in settings],
            [
                figure(ends.get(run.pk, {}).get(column.name), best[column.name])
                for column in columns
            ],
            (run.ended - run.started).total_seconds()
            if run.started and run.ended
            else None,
            differences.changes_between(runs[0], run, names) if index else [],
        )
        for index, run in enumerate(runs)
    ]
    return Comparison(sorted_lines(lines, columns, sort), settings, columns)


def columns_of(names: Collection[str]) -> list[Column]:
    """Return the metrics of a table: what is measured on held-out rows comes first."""
    ordered = sorted(
        names,
        key=lambda name: (
            not is_validation(name),
            kind_of_curve(name) != "loss",
            not direction(name),
            name,
        ),
    )
    return [Column(name, title_in_full(name), direction(name)) for name in ordered][
        :MAX_COLUMNS
    ]


def table_columns(names: Collection[str]) -> list[Column]:
    """Return the metrics worth comparing by their end: of a rate it says nothing."""
    columns = columns_of(names)
    return [column for column in columns if column.better] or columns


def title_in_full(name: str) -> str:
    """`train/loss` → `Train loss`: beside others, the split must be named."""
    title = title_of(name)
    is_loss = kind_of_curve(name) == "loss" and name.startswith("train/")
    return f"Train {title.lower()}" if is_loss else title


def direction(name: str) -> str:
    """Return which end of a metric is the better one, where one is."""
    last = kind_of_curve(name)
    if last in SMALLER_IS_BETTER:
        return "low"
    is_share_of_right = name.startswith("answers/")
    return "high" if is_share_of_right or last in LARGER_IS_BETTER else ""


def best_of(column: Column, ends: dict[int, dict[str, float]]) -> float | None:
    """Return the best end of a metric; None where there is nothing to beat."""
    values = [found[column.name] for found in ends.values() if column.name in found]
    values = [value for value in values if math.isfinite(value)]
    if not column.better or len(values) < 2:
        return None
    return min(values) if column.better == "low" else max(values)


def figure(value: float | None, best: float | None) -> Figure:
    """Return a cell."""
    return Figure(value, is_best=value is not None and value == best)


def sorted_lines(lines: list[Line], columns: Sequence[Column], sort: str) -> list[Line]:
    """Return the lines by a metric, those without it last; else as they were chosen."""
    wanted, is_reversed = sort.removeprefix("-"), sort.startswith("-")
    names = [column.name for column in columns]
    if wanted not in names:
        return lines
    place = names.index(wanted)

    def key(line: Line) -> tuple[bool, float]:
        value = line.figures[place].value
        if value is None or math.isnan(value):
            return True, 0.0
        return False, -value if is_reversed else value

    return sorted(lines, key=key)


def overview(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the charts there are, and what a chart must know of each run."""
    ends = metrics.last_values([run.pk for run in runs])
    columns = columns_of({name for found in ends.values() for name in found})
    return {
        "charts": [
            {"name": column.name, "title": column.title}
            for column in columns[:MAX_CURVES]
        ],
        "runs": [
            {"id": run.pk, "name": run.name, "is_finished": run.is_finished}
            for run in runs
        ],
    }


def points(runs: Sequence[Run], name: str, *, x: str = "steps") -> list[dict[str, Any]]:
    """Return the curve `name` of each run that has it, over steps, tokens or time."""
    curves = metrics.read_curves([run.pk for run in runs], name, max_points=MAX_POINTS)
    scales = seconds_of(runs) if x == "time" else {}
    found = []
    for run in runs:
        if run.pk not in curves:
            continue
        curve = curves[run.pk]
        if x == "steps":
            places = curve.steps.astype(float)
        elif x == "tokens":
            places = curve.steps * float(tokens_per_step(run) or math.nan)
        else:
            places = scales[run.pk](curve)
        if np.isnan(places).all():
            continue  # this run has no such scale
        found.append(
            {
                "run": run.pk,
                "steps": curve.steps.tolist(),
                "x": places.tolist() if x == "steps" else as_json(places),
                "values": as_json(curve.values),
            }
        )
    return found


def tokens_per_step(run: Run) -> int | None:
    """Return how many tokens a step saw: by the spec, or as the run counted them."""
    try:
        known = getattr(parse_spec(run.spec), "tokens_per_step", None)
    except ValueError:
        known = None
    if known is None and run.unit == "steps" and run.step and run.tokens:
        return run.tokens // run.step
    return known


class Clock(NamedTuple):
    """Turns steps into seconds of training."""

    steps: NDArray[np.float64]
    seconds: NDArray[np.float64]

    def __call__(self, curve: Curve) -> NDArray[np.float64]:
        """Return when each point was reached; not known is NaN."""
        if not len(self.steps):
            return np.full(len(curve.steps), np.nan)
        return np.interp(curve.steps, self.steps, self.seconds)


def seconds_of(runs: Sequence[Run]) -> dict[int, Clock]:
    """Return a clock for each run: by its measured speed, else by its whole duration.

    Speed counts training alone, so that evaluations and pauses do not shift a line.
    """
    speeds = metrics.read_curves(
        [run.pk for run in runs], "train/tokens_per_s", max_points=10 * MAX_POINTS
    )
    return {run.pk: clock_of(run, speeds.get(run.pk)) for run in runs}


def clock_of(run: Run, speed: Curve | None) -> Clock:
    """Return a run's clock."""
    per_step = tokens_per_step(run)
    if speed is not None and per_step:
        is_known = np.isfinite(speed.values) & (speed.values > 0)
        steps = speed.steps[is_known].astype(float)
        took = np.diff(steps, prepend=0.0) * per_step / speed.values[is_known]
        return Clock(np.append(0.0, steps), np.append(0.0, took.cumsum()))
    if run.started and run.ended and run.step:
        whole = (run.ended - run.started).total_seconds()
        return Clock(np.array([0.0, float(run.step)]), np.array([0.0, whole]))
    return Clock(np.empty(0), np.empty(0))


def as_json(values: NDArray[np.float64]) -> list[float | None]:
    """Return numbers with few digits; JSON has neither NaN nor infinities."""
    is_finite = np.isfinite(values)
    safe = np.where(is_finite & (values != 0), np.abs(values), 1.0)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(safe)))
    rounded = np.where(is_finite, np.round(values * scale) / scale, 0.0).tolist()
    if is_finite.all():
        return list(rounded)
    pairs = zip(rounded, is_finite.tolist(), strict=True)
    return [value if is_known else None for value, is_known in pairs]
