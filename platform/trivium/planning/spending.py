"""What runs have cost: device-hours, energy, money and CO2.

Attempts say how long they held devices, and what energy the hardware counted. Prices,
power and carbon are the project's as they are now, so a changed price changes what an
older run is said to have cost.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Q, QuerySet, Sum

from trivium.planning.devices import Device
from trivium.planning.formulas import SECONDS_PER_HOUR, carbon_of
from trivium.planning.models import PlanningDefaults
from trivium.planning.queries import defaults_of, device_table, factors_of
from trivium.projects.models import Project
from trivium.runs.models import Attempt, Run

JOULES_PER_KWH = 3.6e6
CORE = "CPU core"
"""What CPU slots are counted by: they differ in size from host to host."""
KEYS = (("H100", "h100"), ("H200", "h200"), ("A100", "a100"), ("4090", "rtx4090"))
"""Part of a GPU's name, and its key in the table."""


class Used(NamedTuple):
    """Time and energy of one kind of device."""

    device: str
    device_s: float
    """All of it."""
    counted_j: float
    """What the hardware counted."""
    uncounted_s: float
    """Device-seconds for which nothing counted."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What some runs have cost."""

    currency: str
    device_hours: float = 0.0
    """Of GPUs and CPU cores alike."""
    money: float = 0.0
    energy_kwh: float = 0.0
    """The site's overhead (PUE) included."""
    measured_kwh: float = 0.0
    """The part that the hardware counted; the rest is power times time."""
    co2_kg: float = 0.0
    unknown: tuple[str, ...] = ()
    """Devices without price and power, of which only the hours are in the sums."""

    @property
    def how(self) -> str:
        """How the energy is known, in words."""
        if self.energy_kwh <= 0:
            return ""
        share = self.measured_kwh / self.energy_kwh
        if share >= 0.999:
            return "measured"
        return "estimated" if share <= 0.001 else f"{share:.0%} measured"


def key_of(name: str) -> str:
    """Return a device's key in the planner's table; empty where it is not there."""
    if name == CORE:
        return "cpu"
    for part, key in KEYS:
        if part in name:
            return key
    return "l4" if "L4" in name.split() else ""


def used_by(attempts: QuerySet[Attempt], field: str) -> dict[object, list[Used]]:
    """Sum up attempts by a field, and by the device they had."""
    rows = (
        attempts.exclude(device="")
        .order_by()
        .values_list(field, "device")
        .annotate(
            all_s=Sum("device_s"),
            counted_j=Sum("energy_j"),
            uncounted_s=Sum("device_s", filter=Q(energy_j=None)),
        )
    )
    found: dict[object, list[Used]] = {}
    for value, device, all_s, counted_j, uncounted_s in rows:
        one = Used(device, all_s, counted_j or 0.0, uncounted_s or 0.0)
        found.setdefault(value, []).append(one)
    return found


def used_in(attempts: QuerySet[Attempt]) -> list[Used]:
    """Sum up attempts by the device they had."""
    by_project = used_by(attempts, "run__project")
    return [one for used in by_project.values() for one in used]


def priced(
    used: Iterable[Used], defaults: PlanningDefaults, table: dict[str, Device]
) -> Spent:
    """Return what use costs by a project's prices and factors."""
    hours = money = energy = measured = 0.0
    unknown: list[str] = []
    for one in used:
        of_this = one.device_s / SECONDS_PER_HOUR
        hours += of_this
        counted = one.counted_j / JOULES_PER_KWH * defaults.pue
        measured += counted
        energy += counted
        device = table.get(key_of(one.device))
        if device is None:
            unknown.append(one.device)
            continue
        factors = factors_of(defaults, device)
        money += of_this * factors.price_per_device_hour
        joules = one.uncounted_s * factors.device_power_w
        energy += joules / JOULES_PER_KWH * factors.pue
    return Spent(
        currency=defaults.currency,
        device_hours=hours,
        money=money,
        energy_kwh=energy,
        measured_kwh=measured,
        co2_kg=carbon_of(energy, factors_of(defaults, table["cpu"])),
        unknown=tuple(sorted(set(unknown))),
    )


def spent_by_runs(project: Project, run_ids: Collection[int]) -> Spent:
    """Return what these runs of a project have cost together so far."""
    attempts = Attempt.objects.filter(run__project=project, run_id__in=run_ids)
    return priced(used_in(attempts), defaults_of(project), device_table())


def spent_by_project(project: Project) -> Spent:
    """Return what all runs of a project have cost so far."""
    attempts = Attempt.objects.filter(run__project=project)
    return priced(used_in(attempts), defaults_of(project), device_table())


def spent_by_person(project: Project) -> list[tuple[str, Spent]]:
    """Return usernames with what each one's runs have cost, the dearest first."""
    attempts = Attempt.objects.filter(run__project=project)
    used = used_by(attempts, "run__created_by__username")
    return [(str(name or ""), spent) for name, spent in _each(used, project)]


def dearest_runs(project: Project, most: int = 10) -> list[tuple[Run, Spent]]:
    """Return the runs that held devices longest, with what each has cost."""
    held = (
        Run.objects.filter(project=project)
        .annotate(held_s=Sum("attempts__device_s"))
        .filter(held_s__gt=0)
        .order_by("-held_s", "-pk")[:most]
    )
    runs = {run.pk: run for run in held}
    used = used_by(Attempt.objects.filter(run_id__in=runs), "run_id")
    return [(runs[int(str(pk))], spent) for pk, spent in _each(used, project)]


def _each(
    used: dict[object, list[Used]], project: Project
) -> list[tuple[object, Spent]]:
    """Return what each has cost, the dearest first."""
    defaults, table = defaults_of(project), device_table()
    found = [(one, priced(its, defaults, table)) for one, its in used.items()]
    return sorted(found, key=lambda each: (-each[1].money, -each[1].device_hours))
