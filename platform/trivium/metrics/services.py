"""Every write to curves.

The one effective writer of a run's curves is the attempt whose fence stands in the
run's `MetricStream`. A new attempt takes the stream over; from then on every write of
an older one changes no row and is refused.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Least

from trivium.metrics.models import MetricChunk, MetricStream

CHUNK_POINTS = 1024
MAX_NAMES = 10_000
"""Curves one run may have; points of further names are dropped."""


class StaleWriterError(Exception):
    """A newer attempt writes these curves now; the caller is a ghost."""


class Point(NamedTuple):
    """One point of one curve."""

    name: str
    step: int
    value: float


class StreamEnd(NamedTuple):
    """Where the writer of a run's curves stands: its fence, and bytes stored."""

    fence: int
    offset: int


def stream_end(run_id: int) -> StreamEnd:
    """Return who wrote last and how far; fence 0 where nobody did."""
    row = MetricStream.objects.filter(run_id=run_id).first()
    return StreamEnd(row.fence, row.offset) if row else StreamEnd(0, 0)


def append_points(
    *, run_id: int, fence: int, points: Iterable[Point], start: int, end: int
) -> None:
    """Store the points that bytes `start` to `end` of an events file held, once.

    Storing the same bytes again changes nothing, so an answer lost with a database
    connection is simply asked for again.

    Raises:
        StaleWriterError: another attempt holds the stream.
    """
    with transaction.atomic(using=settings.METRICS_DATABASE):
        if _move_stream(run_id, fence, start=start, end=end):
            _store(run_id, fence, points)


def take_stream(
    *,
    run_id: int,
    fence: int,
    seen: StreamEnd,
    last_points: Iterable[Point],
    resume_step: int | None,
) -> bool:
    """Make attempt `fence` the writer; False where the stream moved since `seen`.

    `last_points` are those the attempt before left in its file. All points beyond
    `resume_step` (None: all points) will be taken again and are superseded.

    Raises:
        StaleWriterError: a newer attempt holds the stream.
    """
    if seen.fence > fence:
        raise StaleWriterError(
            f"run {run_id}: fence {seen.fence} is newer than {fence}"
        )
    with transaction.atomic(using=settings.METRICS_DATABASE):
        MetricStream.objects.get_or_create(
            run_id=run_id, defaults={"fence": 0, "offset": 0}
        )
        is_ours = MetricStream.objects.filter(
            run_id=run_id, fence=seen.fence, offset=seen.offset
        ).update(fence=fence, offset=seen.offset if seen.fence == fence else 0)
        if is_ours and seen.fence != fence:
            _store(run_id, seen.fence, last_points)
            supersede_after(run_id=run_id, fence=fence, step=resume_step)
    return bool(is_ours)


def supersede_after(*, run_id: int, fence: int, step: int | None) -> None:
    """Hide points beyond `step` (None: all) that attempts before `fence` stored."""
    limit = -1 if step is None else step
    older = MetricChunk.objects.filter(run_id=run_id, fence__lt=fence)
    older.filter(last_step__gt=limit).filter(
        Q(superseded_after__isnull=True) | Q(superseded_after__gt=limit)
    ).update(superseded_after=limit)


def copy_curves(*, source: int, target: int, last_step: int) -> None:
    """Let run `target` begin with the curves of `source` up to `last_step`, once.

    They carry fence 0: no attempt wrote them.
    """
    with transaction.atomic(using=settings.METRICS_DATABASE):
        if MetricChunk.objects.filter(run_id=target).exists():
            return
        names = MetricChunk.objects.filter(run_id=source).values_list("name", flat=True)
        points = [
            Point(name, step, value)
            for name in sorted(set(names))
            for step, value in _kept_points(source, name, last_step)
        ]
        _store(target, 0, points)


def _kept_points(run_id: int, name: str, last_step: int) -> list[tuple[int, float]]:
    chunks = MetricChunk.objects.filter(run_id=run_id, name=name)
    found: list[tuple[int, float]] = []
    for chunk in chunks.order_by("fence", "index"):
        limit = last_step
        if chunk.superseded_after is not None:
            limit = min(limit, chunk.superseded_after)
        steps = np.frombuffer(chunk.steps, dtype="<i8").tolist()
        values = np.frombuffer(chunk.values, dtype="<f8").tolist()
        found += [pair for pair in zip(steps, values, strict=True) if pair[0] <= limit]
    return found


def _move_stream(run_id: int, fence: int, *, start: int, end: int) -> bool:
    """Move the offset of our stream; False where these bytes are stored already."""
    moved = MetricStream.objects.filter(
        run_id=run_id, fence=fence, offset__lte=start
    ).update(offset=end)
    if moved:
        return True
    stored = MetricStream.objects.filter(run_id=run_id, fence=fence, offset__gte=end)
    if stored.exists():
        return False
    raise StaleWriterError(f"run {run_id}: fence {fence} no longer writes its curves")


def _store(run_id: int, fence: int, points: Iterable[Point]) -> None:
    by_name: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for point in points:
        by_name[point.name].append((point.step, point.value))
    for name, pairs in by_name.items():
        last = (
            MetricChunk.objects.filter(run_id=run_id, name=name, fence=fence)
            .order_by("-index")
            .first()
        )
        if last is None and _has_too_many_names(run_id):
            continue
        room = max(0, CHUNK_POINTS - last.count) if last else 0
        if last is not None and room:
            _extend(last, pairs[:room])
        index = last.index + 1 if last else 0
        _add_chunks(run_id, name, fence, index, pairs[room:])


def _has_too_many_names(run_id: int) -> bool:
    names = MetricChunk.objects.filter(run_id=run_id, index=0).values("name").distinct()
    return names.count() >= MAX_NAMES


def _extend(chunk: MetricChunk, pairs: list[tuple[int, float]]) -> None:
    steps, values = _packed(pairs)
    MetricChunk.objects.filter(pk=chunk.pk).update(
        count=F("count") + len(pairs),
        first_step=Least(F("first_step"), min(step for step, _ in pairs)),
        last_step=max(chunk.last_step, *(step for step, _ in pairs)),
        steps=bytes(chunk.steps) + steps,
        values=bytes(chunk.values) + values,
    )


def _add_chunks(
    run_id: int, name: str, fence: int, index: int, pairs: list[tuple[int, float]]
) -> None:
    chunks = []
    for number, first in enumerate(range(0, len(pairs), CHUNK_POINTS)):
        part = pairs[first : first + CHUNK_POINTS]
        steps, values = _packed(part)
        chunks.append(
            MetricChunk(
                run_id=run_id,
                name=name,
                fence=fence,
                index=index + number,
                count=len(part),
                first_step=min(step for step, _ in part),
                last_step=max(step for step, _ in part),
                steps=steps,
                values=values,
            )
        )
    MetricChunk.objects.bulk_create(chunks)


def _packed(pairs: list[tuple[int, float]]) -> tuple[bytes, bytes]:
    steps = np.array([step for step, _ in pairs], dtype="<i8")
    values = np.array([value for _, value in pairs], dtype="<f8")
    return steps.tobytes(), values.tobytes()
