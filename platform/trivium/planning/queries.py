"""Reads for plans: a project's factors, and what the workers measured."""

from dataclasses import replace

from trivium.planning.devices import BY_KEY, DEVICES, Device
from trivium.planning.formulas import Factors
from trivium.planning.models import PlanningDefaults
from trivium.projects.models import Project
from trivium.workers.models import Device as WorkerDevice


def defaults_of(project: Project | None) -> PlanningDefaults:
    """Return a project's factors; the built-in ones, unsaved, where it set none."""
    found = PlanningDefaults.objects.filter(project=project).first()
    return found or PlanningDefaults(project=project)


def device_table() -> dict[str, Device]:
    """Return the devices by key; a CPU as a worker measured it, where one did."""
    measured = [
        device
        for device in WorkerDevice.objects.filter(kind=WorkerDevice.Kind.CPU)
        .select_related("worker")
        .order_by("-worker__heartbeat", "index")[:50]
        if is_peak(device.peak_flops.get("fp32"))
    ]
    if not measured:
        return dict(BY_KEY)
    newest = measured[0]
    cpu = replace(
        BY_KEY["cpu"],
        name="CPU of a worker here",
        peak_flops_per_s={"fp32": float(newest.peak_flops["fp32"])},
        source=f"matrix product measured on {newest.worker.name}",
        is_measured=True,
    )
    return {device.key: device for device in (*DEVICES[:-1], cpu)}


def is_peak(value: object) -> bool:
    """Whether a worker's figure can be a peak."""
    return isinstance(value, int | float) and 0 < value < float("inf")


def factors_of(
    defaults: PlanningDefaults,
    device: Device,
    *,
    price_per_device_hour: float | None = None,
    device_power_w: float | None = None,
    pue: float | None = None,
    grid_kg_per_kwh: float | None = None,
) -> Factors:
    """Return what an hour costs: as given, else as the project has it."""

    def first(given: float | None, usual: float) -> float:
        return usual if given is None else given

    price = defaults.price_per_hour.get(device.key, device.price_per_hour)
    power = defaults.power_w.get(device.key, device.power_w)
    return Factors(
        price_per_device_hour=first(price_per_device_hour, price),
        device_power_w=first(device_power_w, power),
        pue=first(pue, defaults.pue),
        grid_kg_per_kwh=first(grid_kg_per_kwh, defaults.grid_kg_per_kwh),
    )
