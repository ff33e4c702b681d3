"""Processes known by file: their number and start time, so that none is mistaken."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import psutil

POLL_S = 0.05
START_TOLERANCE_S = 1.0
"""psutil rounds start times; a reused number within a second is not to be expected."""


def write_pid(path: Path, pid: int) -> None:
    """Remember a process; the file appears whole or not at all."""
    with contextlib.suppress(psutil.NoSuchProcess):
        values = {
            "pid": pid,
            "started": psutil.Process(pid).create_time(),
            "host": socket.gethostname(),
        }
        temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
        temporary.write_text(json.dumps(values))
        temporary.rename(path)


def read_pid(path: Path) -> psutil.Process | None:
    """Return the process a file tells of, if it still is there, on this host."""
    try:
        values = json.loads(path.read_text())
        if values["host"] != socket.gethostname():
            return None
        process = psutil.Process(values["pid"])
        is_same = abs(process.create_time() - values["started"]) < START_TOLERANCE_S
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None
    return process if is_same and is_alive(process) else None


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stop_group(process: psutil.Process, *, grace_s: float) -> None:
    """Ask a session leader to end; kill its whole group when the time is over."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    deadline = time.monotonic() + grace_s
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    kill_group(process.pid)


def kill_group(pid: int) -> None:
    """End every process of a group that `pid` leads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
