"""What a supervisor notices: silence, a full disk, a trainer that saw too much."""

import os

import pytest
from runspec import ImportSpec, IngestSpec
from supervisor import devices
from trivium import storage
from trivium.runs import services
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

State = Run.State
SECRETS = ("SECRET", "DATABASE", "REDIS", "PASSWORD", "DJANGO", "TRIVIUM")
LONG = {"max_steps": 100_000, "checkpoint_every": 30, "eval_every": 100_000}


def test_a_silent_trainer_is_ended_and_its_run_goes_on(lab, start_node):
    start_node(TRIVIUM_STALL_S="2", TRIVIUM_STOP_GRACE_S="1").wait_until_warm()
    run = lab.wait(lab.pretrain(), lambda run: run.checkpoints.exists())
    lab.trainer(run).suspend()
    lab.wait(run, lambda run: run.fence >= 2)
    first = run.attempts.get(fence=1)
    assert first.outcome == "crashed"
    assert "reported nothing" in first.reason
    lab.wait(run, State.SUCCEEDED)
    assert run.attempts.get(fence=2).resumed_from


def test_a_full_disk_pauses_a_run_that_can_go_on(lab, start_node):
    node = start_node().wait_until_warm()
    version = lab.ingest("a line\n" * 500)
    tokenizer = lab.tokenizer(version)
    lab.wait(tokenizer.run, State.SUCCEEDED)
    node.stop()
    start_node(TRIVIUM_LOW_DISK_BYTES=str(2**62))
    run = lab.wait(lab.pretrain(**LONG), State.PAUSED)
    assert "is free on the disk" in run.reason
    assert not run.devices.exists()


def test_a_cancelled_trainer_is_gone_within_ten_seconds(lab, start_node, bob):
    start_node().wait_until_warm()
    run = lab.wait(lab.pretrain(**LONG), lambda run: run.step > 0)
    trainer = lab.trainer(run)
    services.request_cancel(run, bob)
    lab.wait(run, State.CANCELLED, timeout_s=10)
    assert not trainer.is_running()
    assert not run.devices.exists()
    # What it used was written while it ran, and to the end.
    attempt = run.attempts.get()
    held_s = (attempt.ended - attempt.started).total_seconds()
    assert attempt.device == "CPU core"
    assert 0 < attempt.device_s / attempt.num_units <= held_s


def test_a_trainer_is_forked_from_the_warm_server_without_secrets(lab, start_node):
    node = start_node().wait_until_warm()
    run = lab.wait(lab.pretrain(**LONG), lambda run: run.step > 0)
    trainer = lab.trainer(run)
    assert trainer.ppid() == node.child("trainer.forkserver").pid
    seen = [name for name in trainer.environ() if name.startswith(SECRETS)]
    assert seen == []
    log = storage.run_folder(run.pk) / f"supervisor-{run.fence}.log"
    assert "starting afresh" not in log.read_text()


def test_a_trainer_sees_its_devices_alone(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    assert devices.trainer_environment(["cpu:0"])["CUDA_VISIBLE_DEVICES"] == ""
    seen = devices.trainer_environment(["cuda:1", "cuda:3"])
    assert seen["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert "DATABASE_URL" not in seen


@pytest.mark.parametrize(("wanted", "given"), [("1", 1), ("", 4), ("x", 4), ("9", 4)])
def test_threads_are_no_more_than_the_worker_was_given(monkeypatch, wanted, given):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert devices.trainer_environment(["cpu:0"])["OMP_NUM_THREADS"] == str(given)


def test_only_an_import_from_the_hub_gets_its_token(settings):
    settings.HUB, settings.HUB_TOKEN = True, "hf_x"
    asks = ImportSpec(hub_id="org/model")
    given = devices.hub_environment(asks)
    assert (given["HF_TOKEN"], given["HF_HUB_OFFLINE"]) == ("hf_x", "0")
    upload = ImportSpec(source="1", file_name="m.zip")
    ingest = IngestSpec(source="1", file_name="x.txt")
    assert devices.hub_environment(upload) == devices.hub_environment(ingest) == {}
    assert "HF_TOKEN" not in devices.trainer_environment(["cpu:0"])
    settings.HUB = False
    assert devices.hub_environment(asks) == {}
