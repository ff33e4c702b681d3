"""States change as the table says, once, and leave their history."""

import pytest
from trivium.runs import kinds, services
from trivium.runs.claims import claim_run
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.models import Outbox, Run, Transition
from trivium.runs.transitions import ALLOWED, move_run

State = Run.State


def history(run: Run) -> list[str]:
    rows = Transition.objects.filter(run=run).order_by("pk")
    return list(rows.values_list("to_state", flat=True))


def test_a_submitted_run_has_an_outbox_row_and_a_history(submit):
    run = submit()
    assert Outbox.objects.get().run == run
    assert history(run) == ["queued"]


def test_terminal_states_never_change():
    assert not set(ALLOWED) & set(Run.TERMINAL)


@pytest.mark.parametrize("state", Run.TERMINAL)
def test_a_finished_run_cannot_be_cancelled(submit, bob, state):
    run = submit()
    Run.objects.update(state=state)
    with pytest.raises(IllegalTransitionError, match=str(state)):
        services.request_cancel(run, bob)
    run.refresh_from_db()
    assert run.state == state


def test_a_transition_asked_for_twice_happens_once(submit):
    run = submit()
    changes = {"sources": [State.QUEUED], "target": State.CANCELLED, "actor": "bob"}
    assert move_run(run_id=run.pk, **changes)
    assert not move_run(run_id=run.pk, **changes)
    assert history(run) == ["queued", "cancelled"]


def test_a_queued_run_is_cancelled_at_once(submit, bob):
    run = submit()
    services.request_cancel(run, bob)
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert run.ended


def test_cancelling_a_running_run_is_a_wish(submit, worker, bob):
    run = submit()
    claim_run(worker=worker)
    services.request_cancel(run, bob)
    run.refresh_from_db()
    assert (run.state, run.desired_state) == (State.RUNNING, Run.Desired.CANCEL)


def test_pausing_what_has_no_checkpoints_is_refused(submit, worker, bob):
    run = submit()
    claim_run(worker=worker)
    with pytest.raises(IllegalTransitionError, match="no checkpoints"):
        services.request_pause(run, bob)


def test_a_queued_run_is_paused_and_resumed(submit, bob):
    run = submit()
    services.request_pause(run, bob)
    services.resume_run(run, bob)
    assert history(run) == ["queued", "paused", "queued"]
    with pytest.raises(IllegalTransitionError):
        services.resume_run(run, bob)


def test_priority_is_bounded(submit, bob):
    run = submit()
    services.change_priority(run, bob, 7)
    run.refresh_from_db()
    assert run.priority == 7
    with pytest.raises(SubmitError, match="between -100 and 100"):
        services.change_priority(run, bob, 101)


def test_too_many_queued_runs_are_refused(submit, settings):
    settings.MAX_QUEUED_PER_USER = 2
    submit()
    submit()
    with pytest.raises(SubmitError, match="2 are allowed"):
        submit()
    assert Run.objects.count() == 2


def test_only_failed_and_cancelled_runs_are_tried_again(submit, bob):
    run = submit()
    with pytest.raises(SubmitError, match="only a failed or cancelled"):
        kinds.retry_run(run=run, actor=bob, changes={})
    services.request_cancel(run, bob)
    run.refresh_from_db()
    again = kinds.retry_run(run=run, actor=bob, changes={})
    assert again.state == State.QUEUED
    assert again.pk != run.pk


def test_a_broker_that_is_down_does_not_undo_a_submission(
    submit, settings, django_capture_on_commit_callbacks, monkeypatch
):
    from trivium.bell.app import app

    def fail(*_args: object, **_kwargs: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(app, "send_task", fail)
    with django_capture_on_commit_callbacks(execute=True):
        run = submit()
    assert Run.objects.get(pk=run.pk).state == State.QUEUED
    assert Outbox.objects.get().rung is None
