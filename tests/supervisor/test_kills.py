"""Real kills in the middle of a run: it goes on, and its curve is the same to the bit.

The curve of an uninterrupted run is made once per test process, with the same seed.
"""

import shutil
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from supervisor import processes
from supervisor_lab import MIDDLE, curves, goes_on_as_if_nothing_happened, in_its_middle
from trivium import storage
from trivium.models.models import LanguageModel
from trivium.runs import services
from trivium.runs.models import Checkpoint, Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

State = Run.State
_uninterrupted: dict[str, tuple[list[int], bytes]] = {}


@pytest.fixture
def node(start_node):
    return start_node().wait_until_warm()


@pytest.fixture
def expected(lab, node):
    """The curves of a run that nothing happens to."""
    if not _uninterrupted:
        run = lab.pretrain()
        lab.wait(run, State.SUCCEEDED)
        assert run.attempts.count() == 1
        _uninterrupted.update(curves(run))
    assert len(_uninterrupted["train/loss"][0]) >= 20
    return _uninterrupted


def test_killing_the_trainer_loses_nothing(lab, node, expected):
    run = lab.wait(lab.pretrain(), in_its_middle)
    lab.trainer(run).kill()
    goes_on_as_if_nothing_happened(lab, run, expected)
    assert run.crashes == 1
    assert "SIGKILL" in run.attempts.get(fence=1).reason


def test_killing_the_supervisor_loses_nothing(lab, node, expected):
    run = lab.wait(lab.pretrain(), in_its_middle)
    trainer = lab.trainer(run)
    lab.supervisor(run).kill()
    goes_on_as_if_nothing_happened(lab, run, expected)
    assert not trainer.is_running()
    assert run.crashes == 0
    assert run.attempts.get(fence=1).outcome == "lost"


def test_killing_the_listener_of_the_bell_stops_nothing(lab, node, expected):
    run = lab.wait(lab.pretrain(), in_its_middle)
    node.child("supervisor.listen").kill()
    lab.wait(run, State.SUCCEEDED)
    assert run.attempts.count() == 1
    assert curves(run) == expected


def test_killing_the_worker_stops_nothing_and_another_takes_over(
    lab, node, start_node, expected
):
    run = lab.wait(lab.pretrain(), in_its_middle)
    node.kill()
    waiting = lab.pretrain()
    lab.wait(run, State.SUCCEEDED)
    assert run.attempts.count() == 1
    assert curves(run) == expected
    start_node()
    lab.wait(waiting, State.SUCCEEDED)


def test_killing_everything_at_once_loses_nothing(lab, node, start_node, expected):
    run = lab.wait(lab.pretrain(), in_its_middle)
    processes = [lab.supervisor(run), lab.trainer(run)]
    node.kill()
    for process in processes:
        process.kill()
    start_node()
    goes_on_as_if_nothing_happened(lab, run, expected)


def test_deleting_the_bells_folder_loses_nothing(lab, node, expected):
    if settings.REDIS_URL:
        pytest.skip("the bell is in Redis, not in a folder")
    run = lab.wait(lab.pretrain(), in_its_middle)
    waiting = lab.pretrain(max_steps=20, checkpoint_every=20)
    gone = settings.BELL_DIR.rename(settings.BELL_DIR.with_name("gone"))
    shutil.rmtree(gone, ignore_errors=True)  # the node takes messages out meanwhile
    lab.wait(run, State.SUCCEEDED)
    assert curves(run) == expected
    lab.wait(waiting, State.SUCCEEDED)


def test_sigterm_saves_and_the_run_goes_on_later(lab, node, expected):
    run = lab.wait(lab.pretrain(), in_its_middle)
    before = set(run.checkpoints.values_list("step", flat=True))
    lab.supervisor(run).send_signal(signal.SIGTERM)
    lab.wait(run, lambda run: run.attempts.exclude(outcome="").exists())
    assert run.attempts.get(fence=1).outcome == "stopped"
    assert max(run.checkpoints.values_list("step", flat=True)) > max(before)
    goes_on_as_if_nothing_happened(lab, run, expected)


def test_pause_saves_and_frees_the_device_and_resume_goes_on(lab, node, expected, bob):
    run = lab.wait(lab.pretrain(), in_its_middle)
    services.request_pause(run, bob)
    lab.wait(run, State.PAUSED, timeout_s=20)
    assert not run.devices.exists()
    services.resume_run(run, bob)
    goes_on_as_if_nothing_happened(lab, run, expected)
    assert run.transitions.filter(to_state="pausing").count() == 1


def test_a_cancelled_run_tried_again_goes_on_from_its_checkpoint(
    lab, node, expected, bob
):
    from trivium.runs.kinds import retry_run

    run = lab.wait(lab.pretrain(), in_its_middle)
    services.request_cancel(run, bob)
    lab.wait(run, State.CANCELLED, timeout_s=20)
    assert not run.devices.exists()
    again = retry_run(run=run, actor=bob, changes={})
    lab.wait(again, State.SUCCEEDED)
    assert again.attempts.get().resumed_from >= MIDDLE
    assert curves(again) == expected
    assert LanguageModel.objects.get(run=again).is_ready


@pytest.mark.parametrize("damage", ["flip", "lost"])
def test_a_broken_checkpoint_is_set_aside_and_an_older_one_used(
    lab, node, expected, damage
):
    run = lab.wait(lab.pretrain(), in_its_middle)
    services.request_pause(run, run.created_by)
    lab.wait(run, State.PAUSED, timeout_s=20)
    newest, older = Checkpoint.objects.filter(run=run).order_by("-step")[:2]
    spoil(storage.run_folder(run.pk) / newest.path, damage)
    services.resume_run(run, run.created_by)
    lab.wait(run, State.SUCCEEDED)
    assert run.attempts.get(fence=2).resumed_from == older.step
    assert curves(run) == expected
    assert run.warnings.filter(message__contains="broken").exists()


def spoil(folder: Path, damage: str) -> None:
    largest = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    if damage == "lost":
        largest.unlink()
    else:
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        largest.write_bytes(content[:middle] + flipped + content[middle + 1 :])


def suspend_between_writes(process: psutil.Process) -> None:
    """Stop a process, but not while it alone may write to SQLite's files."""
    while True:
        process.suspend()
        if not any(map(is_locked, connections.all())):
            return
        process.resume()
        time.sleep(0.01)


def is_locked(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "sqlite":
        return False
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0.3)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        other.close()
    return False


def test_a_supervisor_that_slept_through_its_lease_is_a_ghost(lab, node, expected):
    run = lab.wait(lab.pretrain(), in_its_middle)
    ghost = lab.supervisor(run)
    suspend_between_writes(ghost)
    lab.wait(run, lambda run: run.fence >= 2)
    ghost.resume()
    goes_on_as_if_nothing_happened(lab, run, expected)
    lab.wait(run, lambda _run: not processes.is_alive(ghost))
    fences = run.checkpoints.values_list("step", "fence")
    assert np.all(np.diff([fence for _, fence in sorted(fences)]) >= 0)
