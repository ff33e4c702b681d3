"""Which ends of an attempt are tried again, and which are final."""

import pytest
from runspec import events
from supervisor.ending import Ending, GhostError, end_attempt
from trivium.runs import attempts
from trivium.runs.claims import claim_run
from trivium.runs.models import Attempt, Run

State = Run.State


def end(claim, tmp_path, **given):
    values = {"exit_code": 1, "ending": None, "result": None, "error": None}
    end_attempt(claim, tmp_path, **{**values, **given})
    return Run.objects.get()


@pytest.mark.parametrize("kind", ["bad_input", "out_of_memory", "not_finite"])
def test_what_would_fail_again_is_not_tried_again(claim, tmp_path, kind):
    error = events.Error(error_class=kind, message="no", advice="change it")
    run = end(claim, tmp_path, error=error)
    assert (run.state, run.reason, run.advice) == (State.FAILED, "no", "change it")


def test_a_crash_is_tried_again_with_back_off(claim, tmp_path):
    run = end(claim, tmp_path, exit_code=-9)
    assert (run.state, run.crashes) == (State.QUEUED, 1)
    assert run.not_before is not None
    assert "SIGKILL" in run.reason


def test_a_crash_without_progress_is_final(claim, tmp_path, worker):
    end(claim, tmp_path, exit_code=-11)
    Run.objects.update(not_before=None)
    again = claim_run(worker=worker)
    run = end(again, tmp_path, exit_code=-11)
    assert run.state == State.FAILED
    assert "without getting beyond step 0" in run.reason


def test_the_crash_budget_ends(claim, tmp_path, worker, settings):
    settings.MAX_CRASHES = 3
    for number in range(1, 5):
        attempts.record_events(
            claim, [events.Progress(step=number * 10, total=100)], offset=number
        )
        run = end(claim, tmp_path, exit_code=-11)
        if number <= 3:
            assert run.state == State.QUEUED
            Run.objects.update(not_before=None)
            claim = claim_run(worker=worker)
    assert run.state == State.FAILED
    assert "crashed 4 times" in run.reason


@pytest.mark.parametrize("target", [State.PAUSED, State.CANCELLED, State.QUEUED])
def test_a_stop_ends_as_it_was_decided(claim, tmp_path, target):
    run = end(claim, tmp_path, exit_code=3, ending=Ending(target))
    assert run.state == target
    assert run.crashes == 0
    assert Attempt.objects.get().outcome == Attempt.Outcome.STOPPED


def test_a_trainer_stopped_by_its_host_goes_on_later(claim, tmp_path):
    assert end(claim, tmp_path, exit_code=3).state == State.QUEUED


def test_a_cancelled_trainer_that_was_killed_is_cancelled(claim, tmp_path):
    run = end(claim, tmp_path, exit_code=-9, ending=Ending(State.CANCELLED))
    assert run.state == State.CANCELLED


def test_output_that_cannot_be_stored_fails_the_run(claim, tmp_path):
    run = end(claim, tmp_path, exit_code=0, result=events.Result(values={}))
    assert run.state == State.FAILED
    assert "could not be stored" in run.reason


def test_an_end_after_the_end_is_a_ghosts(claim, tmp_path):
    end(claim, tmp_path, exit_code=3)
    with pytest.raises(GhostError):
        end(claim, tmp_path, exit_code=3)
