"""The embedded platform as a person starts and stops it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of(home: Path) -> list[psutil.Process]:
    """Return what runs with this home in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TRIVIUM_HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Up:
    """`manage.py up` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "up", f"--port={self.port}"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "TRIVIUM_HOME": str(home / "trivium"),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def read_until(self, pattern: str) -> str:
        """Return the first line that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if re.search(pattern, line):
                return line.strip()
        raise AssertionError(self.output + self.logs())

    def logs(self) -> str:
        folder = self.home / "trivium" / "logs"
        return "\n".join(path.read_text()[-3000:] for path in folder.glob("*.log"))

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=60)
        self.output += rest
        return self.process.returncode


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    platform = Up(tmp_path)
    yield platform
    if platform.process.poll() is None:
        platform.process.kill()
    platform.process.communicate()
    for process in processes_of(tmp_path / "trivium"):
        process.kill()


def test_it_prints_a_link_that_signs_in_once(up):
    link = up.read_until("Sign in once").split()[-1]
    with httpx.Client(follow_redirects=True) as client:
        assert client.get(f"http://127.0.0.1:{up.port}/").url.path == "/accounts/login/"
        home = client.get(link)
        assert home.status_code == 200
        assert "Sign out" in home.text
    assert httpx.get(link).status_code == 410


def test_ctrl_c_ends_every_process_and_leaves_runs_resumable(up, tmp_path):
    link = up.read_until("Sign in once").split()[-1]
    base = f"http://127.0.0.1:{up.port}"
    with httpx.Client(base_url=base, follow_redirects=True, timeout=30) as client:
        client.get(link)
        runs = start_training(client)
        wait(lambda: fields(client, runs[-1])["step"] > 5)
    home = tmp_path / "trivium"
    assert len(processes_of(home)) >= 4
    assert up.interrupt() == 0
    assert processes_of(home) == []
    assert "Stopped." in up.output

    again = Up(tmp_path)
    try:
        link = again.read_until("Sign in once").split()[-1]
        with httpx.Client(
            base_url=f"http://127.0.0.1:{again.port}", follow_redirects=True
        ) as client:
            client.get(link)
            run = fields(client, runs[-1])
            assert run["state"] in {"queued", "running"}
            wait(lambda: fields(client, runs[-1])["step"] > run["step"])
            found = client.get(f"/api/v1/runs/{runs[-1]}/checkpoints").json()
            assert found["items"][0]["step"] > 0
    finally:
        again.interrupt()
    assert processes_of(home) == []


def start_training(client: httpx.Client) -> list[int]:
    """Queue ingest, tokenizer and a training that lasts, by API."""
    slug = client.get("/api/v1/projects").json()["items"][0]["slug"]
    text = "\n\n".join(f"Line {number} of a small text." for number in range(2000))
    token = client.cookies["csrftoken"]
    headers = {"X-CSRFToken": token, "Referer": str(client.base_url)}
    ingest = client.post(
        "/api/v1/datasets/upload",
        data={"project": slug, "name": "Lines"},
        files={"file": ("lines.txt", text.encode())},
        headers=headers,
    ).json()
    dataset = str(ingest["output"]["id"])

    def submit(**spec: object) -> dict:
        answer = client.post(
            "/api/v1/runs", json={"project": slug, "spec": spec}, headers=headers
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    tokenizer = submit(kind="tokenizer", dataset=dataset, algorithm="characters")
    training = submit(
        kind="pretrain",
        dataset=dataset,
        tokenizer=str(tokenizer["output"]["id"]),
        layers=2,
        heads=2,
        width=32,
        context=32,
        max_steps=1_000_000,
        checkpoint_every=1_000_000,
        eval_every=1_000_000,
        sample_every=0,
        compile="off",
    )
    return [ingest["id"], tokenizer["id"], training["id"]]


def fields(client: httpx.Client, run: int) -> dict:
    found = client.get(f"/api/v1/runs/{run}").json()
    assert found["state"] not in {"failed", "cancelled"}, found
    return found


def wait(fact, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.2)
