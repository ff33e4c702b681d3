"""The embedded platform in a home of its own, for tests that start it."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
HEAR_CTRL_C = ("env", "--default-signal=INT")
"""Children of a shell's background job ignore it otherwise."""


def few_threads() -> dict[str, str]:
    """Return how many threads trainers get, where the tests are told.

    Beside other test processes threads wait for each other more than they work.
    """
    name = "OMP_NUM_THREADS"
    return {name: os.environ[name]} if name in os.environ else {}


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

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                *HEAR_CTRL_C,
                sys.executable,
                ROOT / "manage.py",
                "up",
                f"--port={self.port}",
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                # Of this checkout, where another one is installed.
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "TRIVIUM_HOME": str(home / "trivium"),
                "PYTHONUNBUFFERED": "1",
                **few_threads(),
                **environment,
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

    def end(self) -> None:
        """Stop it if it still runs; then nothing of it may, and nothing will."""
        try:
            if self.process.poll() is None:
                self.interrupt()
            assert self.process.stdout is not None
            self.process.stdout.close()
            assert processes_of(self.home / "trivium") == []
        finally:
            for process in processes_of(self.home / "trivium"):
                process.kill()
