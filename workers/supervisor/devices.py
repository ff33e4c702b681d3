"""What a host has to run on. Found without torch, so that a node stays light."""

import json
import os
import subprocess
import sys

import psutil
from django.conf import settings
from runspec import ImportSpec, Spec
from trivium.serving.sources import keys_for
from trivium.workers.models import Device
from trivium.workers.services import Found

RAY_ANSWER_S = 120
GPU_QUERY = "--query-gpu=index,name,memory.total"

KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"),
    *("LD_LIBRARY_PATH", "PYTHONPATH", "RAY_ADDRESS"),
    # Functions of an admin; a spec names one of them, and no other is imported.
    "TRIVIUM_REWARD_FUNCTIONS",
)
"""What a trainer is given of a worker's own environment."""
PROXIES = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)
"""What a run that may leave the machine is given beside."""


def find_devices(queues: list[str]) -> list[Found]:
    """Return the slots of the queues this worker serves, CPU slots last.

    Raises:
        LookupError: it shall serve `gpu`, and the host has none; or it speaks for a
            Ray cluster that does not answer.
    """
    if settings.LAUNCHER == "ray":
        return find_in_cluster(queues)
    found = []
    if "gpu" in queues:
        found += find_gpus()
        if not found:
            raise LookupError(
                "queue gpu: nvidia-smi finds no GPU here; leave it out of --queues"
            )
    if "cpu" in queues:
        share = psutil.virtual_memory().total // settings.CPU_SLOTS
        threads = threads_per_slot()
        found += [
            Found(Device.Kind.CPU, index, f"{threads} CPU cores", share)
            for index in range(settings.CPU_SLOTS)
        ]
    return found


def find_in_cluster(queues: list[str]) -> list[Found]:
    """Return the GPUs and CPU cores of the Ray cluster this worker speaks for.

    Raises:
        LookupError: the cluster does not answer.
    """
    asked = subprocess.run(
        [sys.executable, "-P", "-m", "trainer.launch_ray"],
        env=trainer_environment([]),
        capture_output=True,
        text=True,
        check=False,
        timeout=RAY_ANSWER_S,
    )
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LookupError(f"TRIVIUM_LAUNCHER=ray: {reason}")
    has: dict[str, int] = json.loads(asked.stdout.splitlines()[-1])
    kinds = {"gpu": Device.Kind.GPU, "cpu": Device.Kind.CPU}
    return [
        Found(kinds[queue], index, f"Ray {queue.upper()}", 0)
        for queue in ("gpu", "cpu")
        if queue in queues
        for index in range(has[queue.upper()])
    ]


def choose_launcher(devices: list[str]) -> str:
    """Return how a run on `devices` starts: `local`, `torchrun` or `ray`."""
    if settings.LAUNCHER == "ray":
        return "ray"
    return "torchrun" if len(devices) > 1 else "local"


def find_gpus() -> list[Found]:
    """Return the NVIDIA GPUs of this host; none where the driver is missing."""
    try:
        done = subprocess.run(
            ["nvidia-smi", GPU_QUERY, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in done.stdout.splitlines() if line.strip()]
    return [
        Found(Device.Kind.GPU, int(index), name, int(mebibytes) * 2**20)
        for index, name, mebibytes in rows
    ]


def num_cores() -> int:
    """Return the cores of runs; a container or `OMP_NUM_THREADS` may limit them."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0))
    return min(cores, int(wanted)) if wanted.isdecimal() and int(wanted) else cores


def threads_per_slot() -> int:
    """Return how many threads a run on one CPU slot gets."""
    return max(1, num_cores() // settings.CPU_SLOTS)


def trainer_environment(devices: list[str]) -> dict[str, str]:
    """Return all the environment a trainer gets: nothing that opens a door.

    `devices` are those of its attempt, like `cuda:1` or `cpu:0`; it sees no others.
    """
    gpus = [name.removeprefix("cuda:") for name in devices if name.startswith("cuda:")]
    threads = num_cores() if gpus else threads_per_slot() * max(1, len(devices))
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
        "OMP_NUM_THREADS": str(min(threads, num_cores())),
        "NUMBA_NUM_THREADS": str(min(threads, num_cores())),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONUNBUFFERED": "1",
    }


def endpoint_environment(spec: Spec) -> dict[str, str]:
    """Return the keys of the endpoints one run asks, which are written nowhere.

    `spec` is the resolved one.

    Raises:
        UnreadableKeyError: SECRET_KEY is another one than when a key was stored.
    """
    return keys_for(spec)


def hub_environment(spec: Spec) -> dict[str, str]:
    """Return what lets one run reach the Hub: an import that asks for it, no other."""
    if not settings.HUB or not isinstance(spec, ImportSpec) or not spec.hub_id:
        return {}
    given = {"HF_TOKEN": settings.HUB_TOKEN, "HF_ENDPOINT": settings.HUB_ENDPOINT}
    given |= {name: os.environ.get(name, "") for name in PROXIES}
    return {
        "HF_HUB_OFFLINE": "0",
        **{key: value for key, value in given.items() if value},
    }
