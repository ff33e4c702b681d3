"""What an attempt uses, as far as the hardware counts it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor import meter
from supervisor.meter import Counter, Meter, cpu_counters, gpu_counters


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def package(root: Path, name: str, energy_uj: int, *, kind: str = "package-0") -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{kind}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text("10000000\n")
    return folder


def test_seconds_count_once_for_each_device():
    clock = Clock()
    measured = Meter("H100", 4, held_s=5, clock=clock)
    clock.now += 10
    used = measured.read()
    assert (used.device, used.num_units, used.device_s) == ("H100", 4, 60)
    assert (used.energy_j, used.energy_source) == (None, "")


def test_processors_count_in_packages_which_begin_anew(tmp_path: Path):
    first = package(tmp_path, "intel-rapl:0", 9_000_000)
    second = package(tmp_path, "intel-rapl:1", 1_000_000, kind="package-1")
    package(tmp_path, "intel-rapl:0:0", 5_000_000, kind="core")
    package(tmp_path, "intel-rapl:2", 5_000_000, kind="psys")
    measured = Meter("CPU core", 1, cpu_counters(0.5, tmp_path), "RAPL")
    (first / "energy_uj").write_text("1000000\n")  # past its range of 10 J
    (second / "energy_uj").write_text("5000000\n")
    used = measured.read()
    # Two and four joules, half of which are this attempt's.
    assert used.energy_j == pytest.approx(3)
    assert used.energy_source == "RAPL"


def test_a_counter_that_fails_ends_the_measurement():
    values = iter([1.0, 5.0])
    measured = Meter("GPU", 1, [Counter(lambda: next(values))], "NVML")
    assert measured.read().energy_j == 4
    # The last figure would look like the whole one.
    assert measured.read().energy_j is None
    assert measured.read().energy_source == ""


def test_hidden_counters_measure_nothing(tmp_path: Path):
    folder = package(tmp_path, "intel-rapl:0", 1)
    (folder / "energy_uj").unlink()
    assert cpu_counters(1.0, tmp_path) == []
    assert cpu_counters(1.0, tmp_path / "none") == []


def test_gpus_count_millijoules(monkeypatch: pytest.MonkeyPatch):
    energy = {0: 0.0, 3: 7000.0}
    library = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: energy[handle],
    )
    monkeypatch.setattr(meter.importlib, "import_module", lambda _: library)
    measured = Meter("H100", 2, gpu_counters([0, 3]), "NVML")
    energy[0], energy[3] = 1500.0, 8000.0
    assert measured.read().energy_j == pytest.approx(2.5)
    assert gpu_counters([0, 5]) == []  # no such GPU: nothing is half measured
