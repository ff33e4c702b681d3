"""What one may ask the planner, and in which limits; the same for page, API and CLI."""

from collections.abc import Mapping
from typing import Any

from trivium.planning.devices import Device
from trivium.planning.formulas import Attention, PlanError
from trivium.planning.making import MIN_PARAMETERS, Asked, Budget
from trivium.planning.models import PlanningDefaults
from trivium.planning.queries import factors_of

LIMITS: dict[str, tuple[float, float]] = {
    "parameters": (MIN_PARAMETERS, 1e15),
    "tokens": (1, 1e18),
    "budget": (1e-6, 1e32),
    "number": (1, 1_000_000),
    "utilisation": (0.001, 1),
    "layers": (1, 10_000),
    "width": (1, 1_000_000),
    "context": (1, 100_000_000),
    "price_per_hour": (0, 1_000_000),
    "power_w": (0.1, 1_000_000),
    "pue": (1, 10),
    "grid_kg_per_kwh": (0, 10),
}
"""Least and most of each number."""
RULES = {
    "twenty": "20 tokens per parameter",
    "fitted": "Chinchilla's fitted law (approach 3)",
}
UNITS = {"money": "Money", "device_hours": "Device-hours", "flops": "FLOPs"}
SHAPE = ("layers", "width", "context")


def asked_from(
    values: Mapping[str, Any],
    *,
    defaults: PlanningDefaults,
    table: Mapping[str, Device],
) -> Asked:
    """Return the question in `values`, which are within `LIMITS`.

    What is missing is as the project has it.

    Raises:
        PlanError: the device is unknown or lacks the precision, or a part of the
            attention's shape is missing.
    """
    device = table.get(values["device"])
    if device is None:
        raise PlanError(
            f"there is no device {values['device']!r}; known: {', '.join(table)}",
            field="device",
        )
    precision = values.get("precision") or device.best_precision
    if precision not in device.peak_flops_per_s:
        raise PlanError(
            f"no peak in {precision} is known for {device.name}; choose "
            f"{device.best_precision}",
            field="precision",
        )
    amount = values.get("budget")
    return Asked(
        device=device,
        precision=precision,
        num_devices=int(values.get("number") or 1),
        utilisation=values.get("utilisation") or defaults.utilisation,
        factors=factors_of(
            defaults,
            device,
            price_per_device_hour=values.get("price_per_hour"),
            device_power_w=values.get("power_w"),
            pue=values.get("pue"),
            grid_kg_per_kwh=values.get("grid_kg_per_kwh"),
        ),
        rule=values.get("rule") or "twenty",
        parameters=values.get("parameters"),
        tokens=values.get("tokens"),
        attention=attention_from(values),
        budget=Budget(amount=amount, unit=values.get("unit") or "money")
        if amount is not None
        else None,
    )


def attention_from(values: Mapping[str, Any]) -> Attention | None:
    """Return the shape that attention's operations are counted for, if one is given."""
    given = {name: values.get(name) for name in SHAPE}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(SHAPE):
        return None
    if missing:
        raise PlanError(
            "attention is counted from layers, width and context together; "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            field=missing[0],
        )
    return Attention(
        layers=int(values["layers"]),
        width=int(values["width"]),
        context_tokens=int(values["context"]),
    )
