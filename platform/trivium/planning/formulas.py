"""What training costs: floating-point operations, hours, money, energy and carbon.

Plain arithmetic on plain values; nothing here knows of a project or a request.
"""

import math
from dataclasses import dataclass

FLOPS_PER_PARAMETER_AND_TOKEN = 6
PETAFLOP_DAY = 1e15 * 86_400
SECONDS_PER_HOUR = 3600


class PlanError(ValueError):
    """A plan cannot be made; `field` names the value at fault."""

    def __init__(self, message: str, *, field: str) -> None:
        """Keep the sentence and the field."""
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """The shape of a decoder, as far as attention's cost depends on it."""

    layers: int
    width: int
    context_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is trained, and on how much."""

    parameters: float
    tokens: float
    attention: Attention | None = None
    """None leaves attention's own products out, as most published figures do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What it is trained on."""

    peak_flops_per_s: float
    """Of one device."""
    num_devices: int
    utilisation: float
    """Share of the peak that training reaches: model FLOPs utilisation, 0 to 1."""

    @property
    def flops_per_device_hour(self) -> float:
        """Operations one device does in an hour of training."""
        return self.peak_flops_per_s * self.utilisation * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """What an hour of one device costs, in money and in carbon."""

    price_per_device_hour: float
    device_power_w: float
    pue: float
    """Power usage effectiveness: power of the data centre over power of the devices."""
    grid_kg_per_kwh: float
    """CO2 equivalent emitted for a kWh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a training run costs."""

    flops: float
    petaflop_days: float
    hours: float
    device_hours: float
    money: float
    energy_kwh: float
    co2_kg: float


def training_flops(training: Training) -> float:
    """Return the operations of a training run, forward and backward.

    6·N·D: a multiplication and an addition per parameter and token forward, and twice
    that backward (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Attention adds
    12·layers·width·context per token (Chowdhery et al. 2022, arXiv:2204.02311,
    appendix B); it counts the whole square, as an implementation without a causal
    shortcut computes it.
    """
    per_token = FLOPS_PER_PARAMETER_AND_TOKEN * training.parameters
    if training.attention is not None:
        shape = training.attention
        per_token += 12 * shape.layers * shape.width * shape.context_tokens
    return per_token * training.tokens


def cost_of(flops: float, machine: Machine, factors: Factors) -> Cost:
    """Return what doing `flops` on `machine` costs.

    Device-hours are operations over peak times utilisation. Utilisation is taken not
    to fall as devices are added, which at best holds for well-connected ones.
    """
    device_hours = flops / machine.flops_per_device_hour
    energy_kwh = energy_of(device_hours, factors)
    return Cost(
        flops=flops,
        petaflop_days=flops / PETAFLOP_DAY,
        hours=device_hours / machine.num_devices,
        device_hours=device_hours,
        money=device_hours * factors.price_per_device_hour,
        energy_kwh=energy_kwh,
        co2_kg=carbon_of(energy_kwh, factors),
    )


def energy_of(device_hours: float, factors: Factors) -> float:
    """Return kWh: device-hours times power times PUE.

    As Patterson et al. 2021 (arXiv:2104.10350, section 2) reckon. The power is the
    device's limit, so a device takes less; its host counts only as the PUE holds it.
    """
    return device_hours * factors.device_power_w / 1000 * factors.pue


def carbon_of(energy_kwh: float, factors: Factors) -> float:
    """Return kg of CO2 equivalent: energy times the grid's intensity.

    Without the making of the devices, which Luccioni et al. 2022 (arXiv:2211.02001)
    find to be about a fifth of the whole.
    """
    return energy_kwh * factors.grid_kg_per_kwh


def flops_for_device_hours(device_hours: float, machine: Machine) -> float:
    """Return the operations that so many device-hours do."""
    return device_hours * machine.flops_per_device_hour


def device_hours_for_money(money: float, factors: Factors) -> float:
    """Return the device-hours that so much money rents.

    Raises:
        PlanError: an hour costs nothing.
    """
    if factors.price_per_device_hour <= 0:
        raise PlanError(
            "an hour of this device costs nothing, so money does not limit the plan; "
            "give a price, or a budget of device-hours",
            field="price_per_hour",
        )
    return money / factors.price_per_device_hour


def require_finite(cost: Cost) -> None:
    """Refuse a plan beyond what numbers can hold.

    Raises:
        PlanError: some figure of it is infinite.
    """
    if not all(map(math.isfinite, (cost.flops, cost.hours, cost.money, cost.co2_kg))):
        raise PlanError("these numbers are too large to reckon with", field="")
