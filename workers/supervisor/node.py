"""The worker of one host: `python -m supervisor.node --queues gpu,cpu`.

It announces the host's devices, keeps a warm fork server and a listener of the bell,
sweeps, and claims by itself once a sweep, so that a broker that is down costs seconds.
On SIGTERM it claims no more and leaves; supervisors live on, unless `--stop-runs` asks
for the runs to be saved and put back into the queue.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivium.workers.models import Worker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trivium.settings")

logger = logging.getLogger(__name__)

CHILD_GRACE_S = 5.0
IDLE_S = 10.0
"""Without a run for this long, a worker measures its devices."""
RESTART_S = 2.0
"""A child that died is started again, but not more often than this."""


class Child:
    """A process that the node keeps running, and that ends with the node."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        """Prepare; `keep_running` starts it."""
        self.argv = argv
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    def keep_running(self) -> None:
        """Start it if it does not run."""
        if self.process is not None and self.process.poll() is None:
            return
        if time.monotonic() - self.started < RESTART_S:
            return
        if self.process is not None:
            logger.warning("%s ended and is started again", self.argv[-2:])
            self.close()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", *self.argv],
            env=self.environment,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        """End it by ending its standard input."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(CHILD_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class PeakMeasurement:
    """Lets a process measure the devices of an idle worker, and keeps the figures.

    Only then: a run would wait for it, and would make the figures too small.
    """

    def __init__(self, worker: "Worker") -> None:
        """Prepare; `advance` does it step by step."""
        self.worker = worker
        self.process: subprocess.Popen[bytes] | None = None
        self.kind = ""
        self.idle_at = time.monotonic() + IDLE_S
        self.is_done = False

    def advance(self) -> None:
        """Start measuring when idle for a while; store the figures when there."""
        if self.is_done:
            return
        if self.process is not None:
            if self.process.poll() is not None:
                self.record()
        elif self.worker.devices.exclude(run=None).exists():
            self.idle_at = time.monotonic() + IDLE_S
        elif time.monotonic() > self.idle_at:
            self.start()

    def start(self) -> None:
        """Measure on the device a run on the first slot would get."""
        from trivium import storage

        from supervisor import devices

        gpus = [f"cuda:{gpu.index}" for gpu in devices.find_gpus()[:1]]
        self.kind = "gpu" if gpus else "cpu"
        cache = str(storage.token_cache_folder())
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trainer.hardware", cache],
            env=devices.trainer_environment(gpus or ["cpu:0"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )

    def record(self) -> None:
        """Store what the process said."""
        from trivium.workers.services import record_peak_flops

        assert self.process is not None
        said, _ = self.process.communicate()
        self.is_done = True
        if self.process.returncode != 0:
            logger.warning("The devices could not be measured")
            return
        for device in self.worker.devices.filter(kind=self.kind):
            record_peak_flops(device_id=device.pk, peak_flops=json.loads(said))

    def close(self) -> None:
        """Give up what is not measured yet."""
        if self.process is not None and not self.is_done:
            self.process.kill()
            self.process.communicate()


def main() -> None:
    """Be the worker of this host until asked to stop."""
    import django

    options = parse(sys.argv[1:])
    django.setup()
    from supervisor.spawn import stop_supervisors

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work(options.queues.split(","), options.name, stop)
    if options.stop_runs:
        stop_supervisors()


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m supervisor.node")
    parser.add_argument("--queues", default="", help="gpu, cpu or gpu,cpu")
    parser.add_argument("--name", default=socket.gethostname(), help="unique name")
    parser.add_argument(
        "--stop-runs", action="store_true", help="save and requeue runs when stopped"
    )
    return parser.parse_args(argv)


def work(queues: list[str], name: str, stop: threading.Event) -> None:
    """Announce the worker, and claim until `stop` is set."""
    import psutil
    from django.conf import settings
    from django.db import DatabaseError, close_old_connections
    from trivium.campaigns.refreshing import Refresher
    from trivium.runs.sweeping import Sweeper
    from trivium.workers import services

    from supervisor import devices, spawn
    from supervisor.tasks import WORKER_VARIABLE
    from supervisor.trainer_process import FORK_SERVER_VARIABLE

    queues = [queue for queue in queues if queue] or default_queues()
    worker = services.register_worker(
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        cores=devices.num_cores(),
        memory_bytes=psutil.virtual_memory().total,
        version=installed_version(),
        queues=queues,
        devices=devices.find_devices(queues),
    )
    # A path of its own: a socket's name may have 107 bytes, a home more.
    folder = Path(tempfile.mkdtemp(prefix="trivium-"))
    forks = folder / "fork"
    os.environ[WORKER_VARIABLE] = str(worker.pk)
    os.environ[FORK_SERVER_VARIABLE] = str(forks)
    children = [
        Child(["trainer.forkserver", str(forks)], devices.trainer_environment([])),
        Child(["supervisor.listen", ",".join(queues)], dict(os.environ)),
    ]
    peaks = PeakMeasurement(worker)
    threads: tuple[Sweeper, Refresher] = (Sweeper(), Refresher())
    for thread in threads:
        thread.start()
    logger.info("Worker %s is ready, queues %s", name, ", ".join(queues))
    beat_at = 0.0
    try:
        while not stop.is_set():
            for child in children:
                child.keep_running()
            try:
                close_old_connections()
                if time.monotonic() >= beat_at:
                    services.beat_worker(worker.pk)
                    beat_at = time.monotonic() + settings.HEARTBEAT_S
                spawn.start_claimable(worker)
                peaks.advance()
            except DatabaseError as error:
                logger.warning("The database is away, will be tried again: %s", error)
            stop.wait(settings.SWEEP_S)
    finally:
        for thread in threads:
            thread.stop()
        services.drain_worker(worker.pk)
        peaks.close()
        for child in children:
            child.close()
        shutil.rmtree(folder, ignore_errors=True)


def default_queues() -> list[str]:
    """Return `gpu` too where the host has one."""
    from supervisor.devices import find_gpus

    return ["gpu", "cpu"] if find_gpus() else ["cpu"]


def installed_version() -> str:
    """Return the version of Trivium this worker runs."""
    from trivium import __version__

    return __version__


if __name__ == "__main__":
    main()
