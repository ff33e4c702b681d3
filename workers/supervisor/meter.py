"""What an attempt uses: device-seconds, and energy where the hardware counts it.

GPUs count through NVML (the package nvidia-ml-py), processors through RAPL, whose files
Linux shows under /sys/class/powercap, often to root alone. RAPL counts whole packages:
an attempt is given the share of its slots among the host's. Where nothing counts, pages
estimate from power and time, and say so.
"""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from trivium.planning.spending import CORE
from trivium.runs.attempts import Used

from supervisor import devices

logger = logging.getLogger(__name__)

POWERCAP = Path("/sys/class/powercap")


@dataclass
class Counter:
    """Something that counts energy from an unknown start."""

    read: Callable[[], float]
    """Joules."""
    wraps_at: float = float("inf")
    """Joules at which it begins anew from 0."""
    share: float = 1.0
    """Of what it counts, this much is the attempt's."""
    used: float = 0.0
    _last: float | None = None

    def update(self) -> float:
        """Add what was counted since the last time; return the attempt's joules."""
        now = self.read()
        if self._last is not None:
            passed = now - self._last
            self.used += (passed + self.wraps_at if passed < 0 else passed) * self.share
        self._last = now
        return self.used


class Meter:
    """Measures one attempt from now on; its devices were held `held_s` before."""

    def __init__(
        self,
        device: str,
        num_units: int,
        counters: Sequence[Counter] = (),
        source: str = "",
        *,
        held_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device
        self.num_units = num_units
        self.counters = list(counters)
        self.source = source
        self.clock = clock
        self._began = clock() - held_s
        self._lock = threading.Lock()
        self.read()

    def read(self) -> Used:
        """Return what was used so far.

        A counter that cannot be read any more ends the measurement: half a figure
        would look like a whole one.
        """
        energy_j: float | None = None
        try:
            with self._lock:
                if self.counters:
                    energy_j = sum(counter.update() for counter in self.counters)
        except Exception as error:  # noqa: BLE001 - NVML's errors have no common base
            logger.warning("Energy is not measured any more: %s", error)
            self.counters = []
        return Used(
            device=self.device,
            num_units=self.num_units,
            device_s=(self.clock() - self._began) * self.num_units,
            energy_j=energy_j,
            energy_source=self.source if energy_j is not None else "",
        )


def meter_for(names: Sequence[str], device: str, held_s: float) -> Meter:
    """Return what measures an attempt on devices like `cuda:1` or `cpu:0`.

    `device` is what a worker calls the first of them; they are held for `held_s`.
    """
    gpus = [int(name[5:]) for name in names if name.startswith("cuda:")]
    if gpus:
        return Meter(device, len(gpus), gpu_counters(gpus), "NVML", held_s=held_s)
    cores = devices.threads_per_slot() * max(1, len(names))
    share = min(1.0, max(1, len(names)) / settings.CPU_SLOTS)
    return Meter(CORE, cores, cpu_counters(share), "RAPL", held_s=held_s)


def gpu_counters(indices: Sequence[int]) -> list[Counter]:
    """Return the counters of GPUs; none where one of them does not count."""
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        found = [gpu_counter(nvml, index) for index in indices]
        for counter in found:
            counter.read()
    except Exception as error:  # noqa: BLE001 - NVML's errors have no common base
        logger.info("The energy of GPUs is not measured: %s", error)
        return []
    return found


def gpu_counter(nvml: Any, index: int) -> Counter:
    """Return the counter of one GPU, which counts millijoules."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return Counter(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)


def cpu_counters(share: float, root: Path = POWERCAP) -> list[Counter]:
    """Return the counters of all packages, which count microjoules; none if hidden."""
    try:
        return [
            cpu_counter(folder, share)
            for folder in sorted(root.glob("intel-rapl:*"))
            # The parts of a package, like `intel-rapl:0:1`, are counted in it.
            if folder.name.count(":") == 1
            and (folder / "name").read_text().startswith("package")
        ]
    except (OSError, ValueError) as error:
        logger.info("The energy of processors is not measured: %s", error)
        return []


def cpu_counter(folder: Path, share: float) -> Counter:
    """Return the counter of one package.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    path = folder / "energy_uj"

    def read() -> float:
        return int(path.read_text()) / 1e6

    read()
    wraps_at = int((folder / "max_energy_range_uj").read_text()) / 1e6
    return Counter(read, wraps_at, share)
