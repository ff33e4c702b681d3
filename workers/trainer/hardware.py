"""What the device at hand can do, measured once and kept."""

import json
import os
import platform
import time
from pathlib import Path

import torch

from trainer.errors import BadInputError

FILE = "matrix-peaks.json"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIDE_CPU, SIDE_CUDA = 1024, 8192
BUDGET_S, FEWEST = 0.25, 3
"""A product is timed for so long, and at least so often."""
LOOKS = 3
"""Runs that measure before the figure is taken as settled: a busy machine only ever
makes it too small, so the largest counts."""
FASTER = 1.2
"""bf16 must be this much faster than fp32 to be worth its rounding."""


def choose_device(wanted: str) -> torch.device:
    """Return the device of `auto`, `cpu` or `cuda`.

    Raises:
        BadInputError: `cuda` is wanted and not there.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadInputError(
            "device cuda: this worker's torch sees no GPU",
            "Set device to auto, or start a worker on a host with a GPU.",
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda")


def device_name(device: torch.device) -> str:
    """Return what a person calls the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def matrix_peaks(device: torch.device, cache: Path) -> dict[str, float]:
    """Return the measured matrix-product FLOP/s in `fp32` and `bf16`.

    The first runs on a device and a number of threads measure; later ones read the
    file.
    """
    key = f"{device_name(device)}, torch {torch.__version__}"
    path = cache / FILE
    try:
        known: dict[str, dict[str, float]] = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    found = known.setdefault(key, {})
    looks = found.get("looks", 0)
    if looks < LOOKS:
        for name, dtype in DTYPES.items():
            found[name] = max(found.get(name, 0.0), measure_product(device, dtype))
        found["looks"] = looks + 1
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".tmp-{FILE}-{os.getpid()}")
        temporary.write_text(json.dumps(known))
        temporary.rename(path)
    return {name: found[name] for name in DTYPES}


def measure_product(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best FLOP/s of some square matrix products."""
    side = SIDE_CUDA if device.type == "cuda" else SIDE_CPU
    # Ones: the measurement must not draw from the run's random numbers.
    left = torch.ones(side, side, device=device, dtype=dtype)
    torch.mm(left, left)
    _wait(device)
    times: list[float] = []
    until = time.perf_counter() + BUDGET_S
    while len(times) < FEWEST or time.perf_counter() < until:
        start = time.perf_counter()
        torch.mm(left, left)
        _wait(device)
        times.append(time.perf_counter() - start)
    return 2.0 * side**3 / min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def choose_precision(wanted: str, peaks: dict[str, float]) -> str:
    """Return `fp32` or `bf16`; `auto` takes bf16 where it is measurably faster."""
    if wanted != "auto":
        return wanted
    return "bf16" if peaks["bf16"] > FASTER * peaks["fp32"] else "fp32"
