"""Devices one can rent or own, as their makers describe them, and what they cost.

Peaks are dense (without structured sparsity). Prices are rounded list prices that
change from month to month and by a factor of three between providers: they are there so
that the first plan shows something, and each project sets its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Precision = Literal["bf16", "fp32"]
AS_OF = "March 2026"
"""When the table was last gone through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One kind of device."""

    key: str
    name: str
    peak_flops_per_s: Mapping[str, float]
    """By precision: bf16 as matrix units do it, fp32 without them."""
    power_w: float
    """The limit set at the factory."""
    price_per_hour: float
    """US dollars, on demand."""
    source: str
    price_source: str
    is_measured: bool = False
    """Whether a worker of this installation measured the peak."""

    @property
    def best_precision(self) -> str:
        """The precision one would train in on it."""
        return "bf16" if "bf16" in self.peak_flops_per_s else "fp32"


DEVICES = (
    Device(
        key="h100",
        name="NVIDIA H100 SXM",
        peak_flops_per_s={"bf16": 989.4e12, "fp32": 66.9e12},
        power_w=700,
        price_per_hour=3.0,
        source="NVIDIA H100 architecture white paper, 2022",
        price_source="nanochat README, October 2025: eight at about $24 an hour",
    ),
    Device(
        key="h200",
        name="NVIDIA H200 SXM",
        peak_flops_per_s={"bf16": 989.4e12, "fp32": 66.9e12},
        power_w=700,
        price_per_hour=3.8,
        source="NVIDIA H200 data sheet, 2023; computes as the H100 SXM does",
        price_source="rounded list price, for orientation",
    ),
    Device(
        key="a100",
        name="NVIDIA A100 SXM 80 GB",
        peak_flops_per_s={"bf16": 312e12, "fp32": 19.5e12},
        power_w=400,
        price_per_hour=1.5,
        source="NVIDIA A100 data sheet, 2020",
        price_source="rounded list price, for orientation",
    ),
    Device(
        key="l4",
        name="NVIDIA L4",
        peak_flops_per_s={"bf16": 121e12, "fp32": 30.3e12},
        power_w=72,
        price_per_hour=0.7,
        source="NVIDIA L4 data sheet, 2023; half of its figures with sparsity",
        price_source="rounded list price, for orientation",
    ),
    Device(
        key="rtx4090",
        name="NVIDIA RTX 4090",
        peak_flops_per_s={"bf16": 165.2e12, "fp32": 82.6e12},
        power_w=450,
        price_per_hour=0.35,
        source="NVIDIA Ada architecture white paper, 2022; sums kept in fp32",
        price_source="rounded list price, for orientation",
    ),
    Device(
        key="cpu",
        name="CPU core",
        peak_flops_per_s={"fp32": 96e9},
        power_w=5,
        price_per_hour=0.05,
        source="AVX2 at 3 GHz: two fused multiply-adds of eight numbers a cycle",
        price_source="rounded list price of a virtual core, for orientation",
    ),
)
BY_KEY = {device.key: device for device in DEVICES}
DEFAULT = "h100"
UTILISATION = 0.4
"""llm-foundry reports 42 % for 1.3 B parameters on eight H100, Llama 3 38 to 43 %."""
PUE = 1.58
"""Average of data centres asked by the Uptime Institute in 2023; the largest are near
1.1."""
GRID_KG_PER_KWH = 0.436
"""World average of 2022 (Ember, Global Electricity Review 2023). Countries lie between
about 0.03 and 0.8."""
