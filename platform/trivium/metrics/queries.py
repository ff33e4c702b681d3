"""Reads of curves; long ones are thinned out to their lows and highs."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from django.db.models import Max, Q
from numpy.typing import NDArray

from trivium.metrics.models import MetricChunk

Chunk = tuple[bytes | memoryview, bytes | memoryview, int | None]
"""Steps and values as they are stored, and after which step they do not count."""


class Curve(NamedTuple):
    """Points in the order of their steps; values may be NaN or infinite."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def curve_names(run_id: int) -> list[str]:
    """Return the names of a run's curves, sorted."""
    rows = MetricChunk.objects.filter(run_id=run_id, index=0)
    return sorted(set(rows.values_list("name", flat=True)))


def read_curve(
    run_id: int, name: str, *, max_points: int = 2000, after_step: int | None = None
) -> Curve:
    """Return one curve, with at most `max_points` points, beyond `after_step`.

    Points that a later attempt took again are left out.
    """
    chunks = MetricChunk.objects.filter(run_id=run_id, name=name).exclude(
        superseded_after=-1
    )
    if after_step is not None:
        chunks = chunks.filter(
            Q(last_step__gt=after_step),
            Q(superseded_after__isnull=True) | Q(superseded_after__gt=after_step),
        )
    rows = chunks.order_by("fence", "index").values_list(
        "steps", "values", "superseded_after"
    )
    curve = join_chunks(rows)
    if after_step is not None:
        is_new = curve.steps > after_step
        curve = Curve(curve.steps[is_new], curve.values[is_new])
    return downsample(curve, max_points=max_points)


def read_curves(
    run_ids: Collection[int], name: str, *, max_points: int = 2000
) -> dict[int, Curve]:
    """Return the curve `name` of each run that has it, by one query."""
    chunks = MetricChunk.objects.filter(run_id__in=run_ids, name=name).exclude(
        superseded_after=-1
    )
    rows: dict[int, list[Chunk]] = defaultdict(list)
    for run_id, steps, values, superseded in chunks.order_by(
        "run_id", "fence", "index"
    ).values_list("run_id", "steps", "values", "superseded_after"):
        rows[run_id].append((steps, values, superseded))
    return {
        run_id: downsample(join_chunks(found), max_points=max_points)
        for run_id, found in rows.items()
    }


def last_values(run_ids: Collection[int]) -> dict[int, dict[str, float]]:
    """Return, for each run, where each of its curves ended."""
    chunks = MetricChunk.objects.filter(run_id__in=run_ids).exclude(superseded_after=-1)
    newest = chunks.values("run_id", "name").annotate(newest=Max("pk"))
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for run_id, name, steps, values, superseded in MetricChunk.objects.filter(
        pk__in=newest.values("newest")
    ).values_list("run_id", "name", "steps", "values", "superseded_after"):
        curve = join_chunks([(steps, values, superseded)])
        if len(curve.values):
            found[run_id][name] = float(curve.values[-1])
    return dict(found)


def join_chunks(rows: Iterable[Chunk]) -> Curve:
    """Return the points of chunks, without those that were taken again later."""
    steps_parts, values_parts = [], []
    for raw_steps, raw_values, superseded_after in rows:
        steps = np.frombuffer(raw_steps, dtype="<i8")
        values = np.frombuffer(raw_values, dtype="<f8")
        if superseded_after is not None:
            is_kept = steps <= superseded_after
            steps, values = steps[is_kept], values[is_kept]
        steps_parts.append(steps)
        values_parts.append(values)
    if not steps_parts:
        return Curve(np.empty(0, np.int64), np.empty(0, np.float64))

    return Curve(np.concatenate(steps_parts), np.concatenate(values_parts))


def downsample(curve: Curve, *, max_points: int) -> Curve:
    """Keep the first, the last, and the low and high of each equal share of points.

    A share that holds nothing but NaN keeps its first point, so that a gap stays.
    """
    count = len(curve.steps)
    if count <= max_points:
        return curve
    num_shares = max(1, (max_points - 2) // 2)
    size = -(-count // num_shares)
    padded = np.full(num_shares * size, np.nan)
    padded[:count] = curve.values
    table = padded.reshape(num_shares, size)
    starts = np.arange(num_shares) * size
    # NaN must lose both contests, or one NaN would hide its whole share.
    is_nan = np.isnan(table)
    lows = starts + np.where(is_nan, np.inf, table).argmin(axis=1)
    highs = starts + np.where(is_nan, -np.inf, table).argmax(axis=1)
    picked = np.unique(np.concatenate([[0], lows, highs, [count - 1]]))
    picked = picked[picked < count]
    return Curve(curve.steps[picked], curve.values[picked])
