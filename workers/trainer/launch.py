"""Launchers: how one attempt becomes several processes, on engines that exist.

`local` is this process alone, `torchrun` several on this host, `ray` several on a Ray
cluster. The launching process trains nothing: it starts the ranks, passes a wish to
stop on to them through a file in the run's folder (which every host must see), and
ends with the exit code of the first rank.
"""

import os
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runspec.layout import EXIT_FAILED, stop_file

Launcher = Literal["local", "torchrun", "ray"]
POLL_S = 0.2
RANK_GRACE_S = 5
"""When one rank fails, the others have this long to go before they are killed."""


@dataclass(frozen=True)
class Job:
    """What one rank needs to know: the arguments of `python -m trainer`."""

    spec: Path
    folder: Path
    fence: int
    resume: Path | None
    cache: Path


def launch(
    launcher: Launcher, job: Job, *, num_devices: int, stop: threading.Event
) -> int:
    """Run `job` on `num_devices` ranks; return the exit code of the first."""
    file = stop_file(job.folder, job.fence)
    file.unlink(missing_ok=True)
    threading.Thread(
        target=_pass_on, args=(stop, file), name="stop", daemon=True
    ).start()
    if launcher == "ray":
        from trainer.launch_ray import launch_ray

        return launch_ray(job, num_devices, stop)
    return launch_torchrun(job, num_devices)


def launch_torchrun(job: Job, num_devices: int) -> int:
    """Start one process per device on this host, and wait for them."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads // num_devices))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="127.0.0.1",
        max_restarts=0,  # the supervisor decides what is tried again
        signals_to_handle="SIGHUP",  # SIGTERM means: save, see `_pass_on`
        shutdown_timeout=RANK_GRACE_S,
    )
    try:
        codes: dict[int, int] = elastic_launch(config, run_rank)(job)
    except ChildFailedError:
        return EXIT_FAILED
    return codes[0]


def run_rank(job: Job) -> int:
    """Run the stage as one of several ranks; return its exit code.

    Raises:
        SystemExit: it failed, so that the launcher ends the others too.
    """
    from trainer.main import listen, prepare_logging, run_stage

    prepare_logging()
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        listen(stop, lifeline=None)
    threading.Thread(
        target=_watch, args=(stop_file(job.folder, job.fence), stop), daemon=True
    ).start()
    code = run_stage(job, stop)
    if code == EXIT_FAILED:
        raise SystemExit(code)
    return code


def _pass_on(stop: threading.Event, file: Path) -> None:
    while not stop.is_set():
        time.sleep(POLL_S)
    file.touch()


def _watch(file: Path, stop: threading.Event) -> None:
    while not file.exists():
        time.sleep(POLL_S)
    stop.set()
