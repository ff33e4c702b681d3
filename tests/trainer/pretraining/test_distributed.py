"""Several processes that train one model: as one would, and never half of them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from runspec import events as spoken
from runspec.layout import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, events_file
from stage_lab import curve, read_events

TWO_RANKS = ["-m", "trainer", "--launcher=torchrun"]
UNDER_TORCHRUN = [
    *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
    *("-m", "trainer"),
]


@pytest.fixture
def start(lab, tmp_path):
    """Start a trainer on a spec as a shell would; its whole group dies afterwards."""
    started = []

    def start(spec, name="run", *, fence=1, resume=None, command=TWO_RANKS):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        file = folder / "spec.json"
        file.write_text(spec.model_dump_json())
        options = [f"--folder={folder}", f"--fence={fence}"]
        options += [f"--cache={tmp_path / 'cache'}"]
        options += [f"--resume={resume}"] if resume else []
        with (folder / f"log-{fence}").open("ab") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, *command, str(file), *options],
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        return folder, started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finish(folder: Path, process) -> None:
    code = process.wait(timeout=180)
    assert code == EXIT_OK, "".join(p.read_text() for p in folder.glob("log-*"))


def wait_for_step(folder: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        path = events_file(folder, 1)
        text = path.read_text() if path.exists() else ""
        if f'"step":{step},' in text:
            return
        assert time.monotonic() < deadline, text
        time.sleep(0.02)


def values(folder: Path, name: str) -> dict[int, float]:
    return {step: json.loads(value) for step, value in curve(folder, name).items()}


def test_two_ranks_learn_what_one_would_of_the_same_windows(lab, start):
    alone = lab.run(lab.spec(batch_size=8, max_steps=12, eval_batches=999))
    folder, process = start(
        lab.spec(
            batch_size=2,
            accumulation=2,
            num_devices=2,
            max_steps=12,
            eval_batches=999,
        ),
        "two",
    )
    finish(folder, process)
    for name in ("train/loss", "train/gradient_norm", "validation/loss"):
        assert values(folder, name) == pytest.approx(values(alone, name), rel=1e-4)
    done = [e for e in read_events(folder) if isinstance(e, spoken.Result)]
    assert [e.values["num_devices"] for e in done] == [2]


def test_two_ranks_hide_what_one_would(lab, start):
    few = {"family": "t5", "max_steps": 8, "eval_batches": 999, "sample_every": 0}
    alone = lab.run(lab.spec(batch_size=8, **few))
    folder, process = start(
        lab.spec(batch_size=2, accumulation=2, num_devices=2, **few), "two"
    )
    finish(folder, process)
    for name in ("train/loss", "validation/loss", "validation/accuracy"):
        assert values(folder, name) == pytest.approx(values(alone, name), rel=1e-4)


def test_sigterm_saves_and_the_resumed_curve_is_the_same_to_the_bit(lab, start):
    spec = lab.spec(
        family="gpt2",
        dropout=0.1,
        num_devices=2,
        max_steps=300,
        eval_every=100,
        sample_every=0,
        checkpoint_every=50,
    )
    whole, process = start(spec, "whole")
    finish(whole, process)
    folder, process = start(spec, "parts")
    wait_for_step(folder, 1)
    process.terminate()
    assert process.wait(timeout=60) == EXIT_STOPPED
    saved = [e for e in read_events(folder) if isinstance(e, spoken.Checkpoint)]
    assert 1 <= saved[-1].step < 300
    finish(*start(spec, "parts", fence=2, resume=folder / saved[-1].path))
    for name in ("train/loss", "validation/loss"):
        assert curve(folder, name, 1, 2) == curve(whole, name)


def test_a_rank_that_is_killed_ends_them_all(lab, start):
    folder, process = start(lab.spec(num_devices=2, max_steps=100_000))
    wait_for_step(folder, 1)
    ranks = psutil.Process(process.pid).children()
    trainers = [r for r in ranks if "spawn_main" in " ".join(r.cmdline())]
    assert len(trainers) == 2
    trainers[1].kill()
    assert process.wait(timeout=60) == EXIT_FAILED
    assert psutil.wait_procs(ranks, timeout=10)[1] == []


def test_what_is_wrong_with_the_input_is_said_first(lab, start, dataset_of):
    spec = lab.spec(num_devices=2, dataset=str(dataset_of(train=["too short"])))
    folder, process = start(spec)
    assert process.wait(timeout=120) == EXIT_FAILED
    said = [e for e in read_events(folder) if isinstance(e, spoken.Error)]
    assert said[0].error_class == "bad_input"
    assert "not more than one window" in said[0].message


@pytest.mark.slow
def test_torchrun_itself_may_start_the_ranks(lab, start):
    folder, process = start(
        lab.spec(num_devices=2, max_steps=6), command=UNDER_TORCHRUN
    )
    finish(folder, process)
    assert list(values(folder, "train/loss")) == [1, 2, 3, 4, 5, 6]
