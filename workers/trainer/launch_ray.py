"""The launcher `ray`: ranks as workers of Ray Train, on any host of a cluster.

Every host needs this installation and sees the same run folders and caches.
`python -m trainer.launch_ray` prints what the cluster at RAY_ADDRESS has.
"""

import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runspec.layout import EXIT_FAILED

from trainer.errors import BadInputError
from trainer.launch import Job, run_rank
from trainer.ranks import process_backends

PASSED_ON = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "PYTHONPATH")
KNOCK_S = 5.0


def launch_ray(job: Job, num_devices: int, stop: threading.Event) -> int:
    """Start one Ray worker per device, and wait for them.

    Raises:
        BadInputError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = connect()
    from ray.train import (
        FailureConfig,
        RunConfig,
        ScalingConfig,
        TrainingFailedError,
    )
    from ray.train.torch import TorchConfig, TorchTrainer

    # Ray takes SIGTERM for an order to drop everything; here it means: save.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    use_gpu = ray.cluster_resources().get("GPU", 0) >= num_devices
    trainer = TorchTrainer(
        _run_ray_rank,
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend=process_backends(has_gpu=use_gpu)),
        scaling_config=ScalingConfig(
            num_workers=num_devices,
            use_gpu=use_gpu,
        ),
        run_config=RunConfig(
            name=f"attempt-{job.fence}",
            storage_path=str(job.folder / "ray"),
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError:
        return EXIT_FAILED
    finally:
        ray.shutdown()
    return int(exit_code_file(job).read_text())


def _run_ray_rank(config: dict[str, Any]) -> None:
    from ray import train

    job = config["job"]
    code = run_rank(job)
    if train.get_context().get_world_rank() == 0:
        exit_code_file(job).write_text(str(code))


def exit_code_file(job: Job) -> Path:
    """Return where the first rank leaves its exit code: Ray hands back none."""
    return job.folder / "ray" / f"exit-code-{job.fence}"


def connect() -> Any:
    """Join the cluster at RAY_ADDRESS and return the module `ray`.

    Raises:
        BadInputError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise BadInputError(
            "launcher ray: the package ray is not installed on this worker",
            "Install requirements/ray.in there, or start the worker without it.",
        ) from error
    address = os.environ.get("RAY_ADDRESS", "auto")
    given = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        _knock(address)
        ray.init(address=address, runtime_env={"env_vars": given})
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInputError(
            f"launcher ray: no cluster answers at {address}: {error}",
            "Start one with `ray start --head`, and set RAY_ADDRESS.",
        ) from error
    return ray


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), KNOCK_S).close()


def main() -> None:
    """Print the GPUs and CPU cores of the cluster as JSON."""
    ray = connect()
    resources = ray.cluster_resources()
    print(json.dumps({kind: int(resources.get(kind, 0)) for kind in ("GPU", "CPU")}))  # noqa: T201


if __name__ == "__main__":
    main()
