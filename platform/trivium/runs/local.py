"""The whole platform on this machine: databases, web, a worker, and an inference node.

All are children of the caller, and write to `logs/` below the installation's home.
When the caller leaves, trainers save, and every process is ended.
"""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management import call_command

from trivium.cli.errors import CliError, Exit

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 60.0
POLL_S = 0.05
STOP_MARGIN_S = 15.0
LOG_TAIL_LINES = 12


@dataclass
class LocalPlatform:
    """A running platform."""

    url: str
    children: dict[str, "subprocess.Popen[bytes]"]

    def wait(self) -> None:
        """Block until Ctrl-C.

        Raises:
            CliError: a process of the platform died.
        """
        while True:
            for name, child in self.children.items():
                if child.poll() is not None:
                    raise died(name, child.returncode)
            time.sleep(0.5)


@contextmanager
def local_platform(*, port: int) -> Iterator[LocalPlatform]:
    """Start everything, yield it when pages are answered, and end everything.

    Raises:
        CliError: it runs already from this home, or a process would not start.
    """
    with sole_use_of_home():
        migrate()
        children: dict[str, subprocess.Popen[bytes]] = {}
        platform = LocalPlatform(f"http://{LOOPBACK}:{port}", children)
        try:
            children["web"] = start(
                "web",
                "uvicorn",
                "trivium.asgi:application",
                f"--host={LOOPBACK}",
                f"--port={port}",
                "--no-server-header",
                "--log-level=warning",
                "--timeout-graceful-shutdown=2",
                "--timeout-keep-alive=75",  # longer than people think about a page
            )
            children["worker"] = start("worker", "supervisor.node", "--stop-runs")
            children["inference"] = start("inference", "supervisor.serving")
            wait_until_answered(platform)
            yield platform
        finally:
            stop(children)


@contextmanager
def sole_use_of_home() -> Iterator[None]:
    """Keep a second platform out of the same databases and folders."""
    with (settings.HOME / "platform.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CliError(
                f"Trivium runs already from {settings.HOME}; stop that one first",
                Exit.CONFLICT,
            ) from None
        yield


def migrate() -> None:
    """Bring every database up to date."""
    for alias in settings.DATABASES:
        # Of the file of metrics no other app has a table, and going through all their
        # migrations for nothing takes as long as applying them.
        apps = ["metrics"] if alias != "default" else []
        call_command("migrate", *apps, database=alias, verbosity=0, interactive=False)


def start(name: str, *module_and_flags: str) -> "subprocess.Popen[bytes]":
    """Start `python -m …` in a session of its own, so that Ctrl-C reaches only us."""
    with log_file(name).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *module_and_flags],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "trivium.settings"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def log_file(name: str) -> Path:
    """Return where one of the processes writes its log."""
    folder: Path = settings.HOME / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name}.log"


def wait_until_answered(platform: LocalPlatform) -> None:
    """Wait for the first answer of the web process."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        for name, child in platform.children.items():
            if child.poll() is not None:
                raise died(name, child.returncode)
        if is_answered(f"{platform.url}/healthz"):
            return
        time.sleep(POLL_S)
    raise CliError(
        f"the web process did not answer within {START_TIMEOUT_S:.0f} s; "
        f"see {log_file('web')}",
        Exit.UNREACHABLE,
    )


def is_answered(url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def died(name: str, code: int) -> CliError:
    """Say which process ended, and with which last words."""
    with suppress(OSError):
        tail = last_lines(log_file(name).open("rb"))
        return CliError(
            f"the {name} process ended with code {code}; its log ends\n{tail}",
            Exit.UNREACHABLE,
        )
    return CliError(f"the {name} process ended with code {code}", Exit.UNREACHABLE)


def last_lines(file: IO[bytes]) -> str:
    """Return the end of a log."""
    with file:
        lines = file.read()[-20_000:].decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])


def stop(children: dict[str, "subprocess.Popen[bytes]"]) -> None:
    """End the worker with its runs saved, then the others, the web process last.

    A second Ctrl-C while trainers save must not leave processes behind.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        deadline = time.monotonic() + settings.STOP_GRACE_S + STOP_MARGIN_S
        for name in ("worker", "inference", "web"):
            child = children.get(name)
            if child is None:
                continue
            child.terminate()
            try:
                child.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
