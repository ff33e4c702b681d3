"""What the device at hand can do, measured once and kept.

`python -m trainer.hardware CACHE` prints it: a worker asks before its first run, so
that a form can say how long a run will take.
"""

import json
import os
import platform
import resource
import sys
import time
from pathlib import Path

import torch

from trainer.errors import BadInputError

FILE = "matrix-peaks.json"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIDE_CPU, SIDE_CUDA = 1024, 8192
BUDGET_S, FEWEST = 0.25, 3
"""A product is timed for so long, and at least so often."""
TRIAL_SHARE = 4
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
    """Return the best FLOP/s of some square matrix products.

    Where the hardware lacks a type its products take seconds; then a smaller one,
    which is as slow per operation, has to do.
    """
    side = SIDE_CUDA if device.type == "cuda" else SIDE_CPU
    small = _time_products(device, dtype, side // TRIAL_SHARE, budget_s=BUDGET_S / 5)
    if small * TRIAL_SHARE**3 > BUDGET_S:
        return 2.0 * (side // TRIAL_SHARE) ** 3 / small
    return 2.0 * side**3 / _time_products(device, dtype, side, budget_s=BUDGET_S)


def _time_products(
    device: torch.device, dtype: torch.dtype, side: int, *, budget_s: float
) -> float:
    """Return the shortest time of a product, in seconds."""
    # Ones: the measurement must not draw from the run's random numbers.
    left = torch.ones(side, side, device=device, dtype=dtype)
    torch.mm(left, left)
    _wait(device)
    times: list[float] = []
    until = time.perf_counter() + budget_s
    while len(times) < FEWEST or time.perf_counter() < until:
        start = time.perf_counter()
        torch.mm(left, left)
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Return the most memory this process has held so far, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def choose_precision(wanted: str, peaks: dict[str, float]) -> str:
    """Return `fp32` or `bf16`; `auto` takes bf16 where it is measurably faster."""
    if wanted != "auto":
        return wanted
    return "bf16" if peaks["bf16"] > FASTER * peaks["fp32"] else "fp32"


def main(cache: Path) -> None:
    """Measure the device of `auto`, and print its peaks as JSON."""
    print(json.dumps(matrix_peaks(choose_device("auto"), cache)))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
