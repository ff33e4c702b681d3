"""What the engine runs on. Nothing heavy is imported before it is asked for."""

import os
from pathlib import Path

GIGABYTE = 10**9


def cache_kernels(folder: Path) -> None:
    """Say where compiled code is kept, where it cannot lie beside its source.

    Before numba is imported, which reads it then.
    """
    if not os.access(Path(__file__).parent, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(folder / "numba"))


def choose_device() -> str:
    """Return the first GPU this process sees, or the CPU."""
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def engine_name(device: str) -> str:
    """Return what receipts call the engine on a device."""
    import torch
    import transformers

    from inference import ENGINE

    libraries = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{ENGINE} ({libraries}) {device}"


def half_of_memory(device: str) -> int:
    """Return half of what a device has: trainers may want the other half."""
    import psutil
    import torch

    if torch.device(device).type == "cpu":
        return int(psutil.virtual_memory().total // 2)
    return int(torch.cuda.mem_get_info(device)[1] // 2)


def free_memory(device: str) -> int:
    """Return what a device has left just now."""
    import psutil
    import torch

    if torch.device(device).type == "cpu":
        return int(psutil.virtual_memory().available)
    return int(torch.cuda.mem_get_info(device)[0])
