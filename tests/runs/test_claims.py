"""Who gets which run, and that only one does."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from trivium.runs.claims import claim_run
from trivium.runs.models import Attempt, Run
from trivium.workers.models import Device


def test_a_claim_takes_a_device_and_starts_an_attempt(submit, worker):
    run = submit()
    claim = claim_run(worker=worker)
    run.refresh_from_db()
    assert (claim.run_id, claim.fence) == (run.pk, 1)
    assert (run.state, run.fence, run.worker) == (Run.State.RUNNING, 1, worker)
    assert run.lease_until > timezone.now()
    assert Device.objects.get().run == run
    assert Attempt.objects.get().devices == ["cpu:0"]


def test_a_worker_without_a_free_device_gets_nothing(submit, worker):
    submit()
    submit()
    assert claim_run(worker=worker) is not None
    assert claim_run(worker=worker) is None


def test_higher_priority_goes_first_then_older(submit, make_worker):
    worker = make_worker(slots=3)
    old, new, urgent = submit(), submit(), submit(priority=5)
    order = [claim_run(worker=worker).run_id for _ in range(3)]
    assert order == [urgent.pk, old.pk, new.pk]


def test_who_has_less_running_goes_first(submit, make_worker, alice, bob):
    worker = make_worker(slots=2)
    first, _second = submit(by=bob), submit(by=bob)
    other = submit(by=alice)
    order = [claim_run(worker=worker).run_id for _ in range(2)]
    assert order == [first.pk, other.pk]


def test_a_draining_worker_takes_nothing(submit, worker):
    submit()
    worker.is_draining = True
    worker.save()
    assert claim_run(worker=worker) is None


def test_a_run_in_back_off_waits(submit, worker):
    run = submit()
    Run.objects.update(not_before=timezone.now() + timedelta(minutes=1))
    assert claim_run(worker=worker) is None
    Run.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    assert claim_run(worker=worker).run_id == run.pk


def test_a_run_of_another_queue_is_left(submit, worker):
    submit()
    Run.objects.update(queue="gpu")
    assert claim_run(worker=worker) is None


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_many_claims_at_once_start_one_attempt_each(submit, make_worker):
    runs = {submit().pk for _ in range(5)}
    workers = [make_worker(name=f"w{number}", slots=2) for number in range(6)]
    barrier = threading.Barrier(len(workers))
    claims = []

    def take(worker) -> None:
        barrier.wait()
        while (claim := claim_run(worker=worker)) is not None:
            claims.append((claim.run_id, claim.fence))
        connections.close_all()

    threads = [threading.Thread(target=take, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [(pk, 1) for pk in sorted(runs)]
