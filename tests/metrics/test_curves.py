"""Points are stored once, in order, and thinned out without losing extremes."""

import numpy as np
import pytest
from trivium.metrics import queries, services
from trivium.metrics.models import MetricChunk
from trivium.metrics.services import CHUNK_POINTS, Point

pytestmark = pytest.mark.django_db(databases="__all__")


def take(fence: int, resume_step: int | None = None, rest=()) -> None:
    assert services.take_stream(
        run_id=1,
        fence=fence,
        seen=services.stream_end(1),
        last_points=rest,
        resume_step=resume_step,
    )


def points(first: int, last: int, name: str = "loss") -> list[Point]:
    return [Point(name, step, step / 10) for step in range(first, last + 1)]


def append(fence: int, some: list[Point], start: int, end: int) -> None:
    services.append_points(run_id=1, fence=fence, points=some, start=start, end=end)


def test_points_come_back_as_they_were_written():
    take(1)
    append(1, points(1, 1500), 0, 100)
    append(1, points(1501, 2500), 100, 200)
    curve = queries.read_curve(1, "loss", max_points=10_000)
    assert curve.steps.tolist() == list(range(1, 2501))
    assert curve.values[-1] == 250.0
    assert MetricChunk.objects.count() == -(-2500 // CHUNK_POINTS)


def test_the_same_bytes_are_stored_once():
    take(1)
    append(1, points(1, 10), 0, 100)
    append(1, points(1, 10), 0, 100)
    assert len(queries.read_curve(1, "loss").steps) == 10


def test_points_taken_again_replace_the_older():
    take(1)
    append(1, points(1, 100), 0, 100)
    take(2, resume_step=60)
    append(2, points(61, 80), 0, 50)
    steps = queries.read_curve(1, "loss").steps.tolist()
    assert steps == list(range(1, 81))


def test_what_an_attempt_left_unread_is_kept():
    take(1)
    append(1, points(1, 10), 0, 100)
    take(2, resume_step=20, rest=points(11, 30))
    assert queries.read_curve(1, "loss").steps.tolist() == list(range(1, 21))


def test_a_run_from_scratch_hides_all_that_was():
    take(1)
    append(1, points(1, 10), 0, 100)
    take(2, resume_step=None)
    assert len(queries.read_curve(1, "loss").steps) == 0


def test_a_stream_that_moved_is_not_taken():
    take(1)
    seen = services.stream_end(1)
    append(1, points(1, 10), 0, 100)
    assert not services.take_stream(
        run_id=1, fence=2, seen=seen, last_points=[], resume_step=None
    )


def test_a_continued_run_begins_with_the_kept_curve():
    take(1)
    append(1, points(1, 100), 0, 100)
    take(2, resume_step=60)
    append(2, points(61, 90), 0, 100)
    services.copy_curves(source=1, target=2, last_step=70)
    services.copy_curves(source=1, target=2, last_step=70)
    assert queries.read_curve(2, "loss").steps.tolist() == list(range(1, 71))


def test_nan_and_infinities_survive():
    take(1)
    some = [Point("loss", 1, float("nan")), Point("loss", 2, float("inf"))]
    append(1, some, 0, 10)
    values = queries.read_curve(1, "loss").values
    assert np.isnan(values[0])
    assert np.isinf(values[1])


def test_thinning_keeps_ends_lows_and_highs():
    steps = np.arange(100_000)
    values = np.sin(steps / 5000)
    values[43_210], values[77_777] = 9.0, -9.0
    thin = queries.downsample(queries.Curve(steps, values), max_points=500)
    assert len(thin.steps) <= 500
    assert {0, 43_210, 77_777, 99_999} <= set(thin.steps.tolist())


def test_thinning_keeps_a_gap():
    values = np.ones(1000)
    values[400:600] = np.nan
    thin = queries.downsample(queries.Curve(np.arange(1000), values), max_points=100)
    assert np.isnan(thin.values).any()
    assert np.isfinite(thin.values).any()


def test_only_what_is_new_is_read():
    take(1)
    append(1, points(1, 3000), 0, 100)
    curve = queries.read_curve(1, "loss", after_step=2990)
    assert curve.steps.tolist() == list(range(2991, 3001))
