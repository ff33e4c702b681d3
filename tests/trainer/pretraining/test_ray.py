"""Ranks on a Ray cluster, here one of this host alone."""

import os
import signal
import subprocess
import sys

import pytest
from runspec import events as spoken
from runspec.layout import EXIT_OK, EXIT_STOPPED
from stage_lab import curve, read_events
from test_distributed import wait_for_step

pytestmark = pytest.mark.slow
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
START_S = 120


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a cluster of two CPU cores; yield the environment that names it."""
    pytest.importorskip("ray", reason="the package ray is not installed")
    folder = tmp_path_factory.mktemp("ray")
    # Blocking: it leads a session of its own, and dies with it.
    with (folder / "log").open("w") as log:
        head = subprocess.Popen(
            [
                *(*RAY, "start", "--head", "--block", "--num-cpus=2", "--port=6399"),
                *("--include-dashboard=false", "--disable-usage-stats"),
                f"--temp-dir={folder}",
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    yield {**os.environ, "RAY_ADDRESS": "127.0.0.1:6399"}
    head.send_signal(signal.SIGTERM)
    head.wait(timeout=60)


def start(spec, folder, cluster, *options):
    folder.mkdir(exist_ok=True)
    file = folder / "spec.json"
    file.write_text(spec.model_dump_json())
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "trainer", str(file), f"--folder={folder}"),
            *("--launcher=ray", *options),
        ],
        env=cluster,
    )


def test_a_run_trains_on_the_cluster_and_stops_when_asked(lab, cluster, tmp_path):
    asked = [sys.executable, "-m", "trainer.launch_ray"]
    wait_until_answers(asked, cluster)
    spec = lab.spec(num_devices=2, max_steps=20)
    whole = tmp_path / "whole"
    assert start(spec, whole, cluster).wait(timeout=180) == EXIT_OK
    assert len(curve(whole, "train/loss")) == 20
    folder = tmp_path / "stopped"
    process = start(lab.spec(num_devices=2, max_steps=100_000), folder, cluster)
    wait_for_step(folder, 1)
    process.terminate()
    assert process.wait(timeout=60) == EXIT_STOPPED
    saved = [e for e in read_events(folder) if isinstance(e, spoken.Checkpoint)]
    assert saved


def wait_until_answers(asked, cluster) -> None:
    for _ in range(START_S // 2):
        done = subprocess.run(
            asked, env=cluster, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            assert '"CPU": 2' in done.stdout
            return
    raise AssertionError(done.stderr)


def test_no_cluster_is_one_clear_sentence(lab, tmp_path):
    pytest.importorskip("ray", reason="the package ray is not installed")
    nowhere = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    folder = tmp_path / "nowhere"
    assert start(lab.spec(), folder, nowhere).wait(timeout=120) == 1
    said = [e for e in read_events(folder) if isinstance(e, spoken.Error)]
    assert "no cluster answers at 127.0.0.1:1" in said[0].message
