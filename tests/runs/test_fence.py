"""An attempt that was replaced writes nothing. Without the fence these fail."""

from datetime import timedelta

import pytest
from django.utils import timezone
from runspec import events
from trivium.metrics import services as metrics
from trivium.runs import attempts
from trivium.runs.claims import claim_run
from trivium.runs.models import Attempt, Checkpoint, Run, Sample
from trivium.runs.sweeping import sweep
from trivium.workers.models import Device

pytestmark = pytest.mark.django_db(databases="__all__")

PROGRESS = events.Progress(step=50, total=100)
SAMPLE = events.Sample(step=5, prompt="p", text="stale")
CHECKPOINT = events.Checkpoint(step=5, path="checkpoints/step-5", manifest_sha256="0")


@pytest.fixture
def ghost(claim, worker):
    """The claim of an attempt whose lease lapsed and whose run was claimed again."""
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    sweep()
    assert claim_run(worker=worker).fence == 2
    return claim


def no_write_of(ghost) -> None:
    """Let a ghost try every write there is."""
    assert attempts.renew_lease(ghost) is None
    assert not attempts.record_start(ghost, resumed_from=3)
    assert not attempts.record_events(ghost, [PROGRESS, SAMPLE, CHECKPOINT], offset=10)
    assert not attempts.end_stopped(ghost, target=Run.State.PAUSED)
    assert not attempts.end_crashed(ghost, reason="late")
    assert not attempts.end_failed(
        ghost, events.Error(message="late"), outcome=Attempt.Outcome.FAILED
    )
    run = Run.objects.get()
    assert (run.state, run.fence, run.step) == (Run.State.RUNNING, 2, 0)
    assert not Sample.objects.exists()
    assert not Checkpoint.objects.exists()
    assert Device.objects.get().run == run


def test_a_ghost_changes_nothing(ghost):
    no_write_of(ghost)


def test_the_fence_is_what_stops_a_ghost(ghost, monkeypatch):
    """The mutant: the same writes without `AND fence = …` do get through."""

    def unfenced(claim):
        return Run.objects.filter(pk=claim.run_id, state__in=Run.LIVE)

    monkeypatch.setattr(attempts, "current", unfenced)
    with pytest.raises(AssertionError):
        no_write_of(ghost)


def test_a_ghost_stores_no_metric(ghost):
    metrics.take_stream(
        run_id=ghost.run_id,
        fence=2,
        seen=metrics.stream_end(ghost.run_id),
        last_points=[],
        resume_step=None,
    )
    with pytest.raises(metrics.StaleWriterError):
        metrics.append_points(
            run_id=ghost.run_id,
            fence=ghost.fence,
            points=[metrics.Point("train/loss", 1, 1.0)],
            start=0,
            end=10,
        )
    with pytest.raises(metrics.StaleWriterError):
        metrics.take_stream(
            run_id=ghost.run_id,
            fence=1,
            seen=metrics.stream_end(ghost.run_id),
            last_points=[],
            resume_step=None,
        )


def test_the_holder_writes_and_ends_its_attempt(claim):
    assert attempts.renew_lease(claim) == Run.Desired.NONE
    assert attempts.record_events(claim, [PROGRESS, SAMPLE, CHECKPOINT], offset=10)
    run = Run.objects.get()
    assert (run.step, run.total_steps) == (50, 100)
    assert Sample.objects.get().text == "stale"
    assert attempts.end_stopped(claim, target=Run.State.QUEUED)
    assert Device.objects.get().run is None
    assert not attempts.end_stopped(claim, target=Run.State.QUEUED)


def test_events_stored_twice_count_once(claim):
    assert attempts.record_events(claim, [SAMPLE], offset=10)
    assert not attempts.record_events(claim, [], offset=5)
    assert Attempt.objects.get().events_offset == 10


def test_an_attempt_that_lost_its_run_records_nothing(claim):
    said = attempts.Used("CPU core", 2, 20.0, None, "")
    assert attempts.record_use(claim, said)
    Run.objects.update(fence=claim.fence + 1)
    assert not attempts.record_use(claim, said._replace(device_s=99.0))
    assert Attempt.objects.get().device_s == 20
