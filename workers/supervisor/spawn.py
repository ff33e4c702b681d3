"""Starting supervisors that outlive who started them, and finding them again."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from django.conf import settings
from trivium import storage
from trivium.runs.claims import Claim, claim_run
from trivium.workers.models import Worker

from supervisor import processes

logger = logging.getLogger(__name__)

START_S = 10.0
"""A supervisor just started may need this long to leave its mark."""


def start_claimable(worker: Worker) -> int:
    """Claim and start all that fits the worker's free devices; return how many."""
    started = 0
    while (claim := claim_run(worker=worker)) is not None:
        logger.info("Run %s claimed, attempt %s", claim.run_id, claim.fence)
        start_supervisor(claim)
        started += 1
    return started


def start_supervisor(claim: Claim) -> None:
    """Start a supervisor in a session of its own; it reads all else in the database."""
    folder = storage.run_folder(claim.run_id)
    with (folder / f"supervisor-{claim.fence}.log").open("ab") as log:
        child = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "supervisor",
                str(claim.run_id),
                str(claim.fence),
            ],
            cwd=folder,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "trivium.settings"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    processes.write_pid(pid_file(claim.run_id, claim.fence), child.pid)


def pid_file(run_id: int, fence: int) -> Path:
    """Return where the process number of one supervisor lies, on its own host."""
    folder: Path = settings.HOME / "supervisors"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{run_id}-{fence}.pid"


@contextmanager
def remember_supervisor(run_id: int, fence: int) -> Iterator[None]:
    """Leave this process's mark while it supervises."""
    path = pid_file(run_id, fence)
    processes.write_pid(path, os.getpid())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def live_supervisors() -> list[psutil.Process]:
    """Return the supervisors of this installation that run on this host."""
    folder = pid_file(0, 0).parent
    found = [processes.read_pid(path) for path in folder.glob("*.pid")]
    return [process for process in found if process is not None]


def stop_supervisors() -> None:
    """Let every supervisor save and put its run back; kill what takes too long."""
    deadline = time.monotonic() + settings.STOP_GRACE_S + START_S
    for process in live_supervisors():
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    while (left := live_supervisors()) and time.monotonic() < deadline:
        time.sleep(processes.POLL_S)
    for process in left:
        logger.warning("Supervisor %s took too long and is killed", process.pid)
        processes.kill_group(process.pid)
