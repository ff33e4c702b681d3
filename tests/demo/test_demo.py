"""The demo, from its command to its last line."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from trivium.runs.management.commands.demo import free_port

ROOT = Path(__file__).resolve().parents[2]


def run_demo(home: Path, port: int, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", "demo"],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TRIVIUM_HOME": str(home / "trivium"),
            "TRIVIUM_PORT": str(port),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        stdin=subprocess.DEVNULL,
    )


def processes_of(home: Path) -> list[psutil.Process]:
    """Return what still runs with this home in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in process.environ().get("TRIVIUM_HOME", ""):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_learns_and_leaves_nothing_running(tmp_path):
    port = free_port(0)
    first = run_demo(tmp_path, port)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "\x1b" not in first.stdout
    losses = re.search(r"validation loss ([\d.]+) before, ([\d.]+) after", first.stdout)
    assert losses
    assert float(losses[2]) < 0.5 * float(losses[1])
    shares = re.search(r"exactly: (\d+)% before, (\d+)% after", first.stdout)
    assert shares
    assert int(shares[1]) < 5
    assert int(shares[2]) >= 85
    assert re.search(r"admitted not to know: \d+%", first.stdout)
    assert first.stdout.count("\n  · ") == 6
    assert re.search(rf"http://127.0.0.1:{port}/accounts/\S+", first.stdout)
    assert first.stderr == ""
    assert processes_of(tmp_path) == []

    # Its port is taken, its names are: the second demo finds others.
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        second = run_demo(tmp_path, port)
    assert second.returncode == 0, second.stdout + second.stderr
    assert f"Port {port} is taken" in second.stdout
    assert processes_of(tmp_path) == []


def test_a_taken_port_is_stepped_around():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port
