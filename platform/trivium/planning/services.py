"""Every write to a project's prices and factors."""

from collections.abc import Mapping

from django.utils import timezone

from trivium.accounts.models import User
from trivium.planning.models import PlanningDefaults
from trivium.projects.models import Project


def update_defaults(
    *,
    project: Project,
    updated_by: User,
    currency: str,
    utilisation: float,
    pue: float,
    grid_kg_per_kwh: float,
    price_per_hour: Mapping[str, float],
    power_w: Mapping[str, float],
) -> PlanningDefaults:
    """Set what a project reckons with; plans in old links change with it."""
    saved, _ = PlanningDefaults.objects.update_or_create(
        project=project,
        defaults={
            "currency": currency.upper(),
            "utilisation": utilisation,
            "pue": pue,
            "grid_kg_per_kwh": grid_kg_per_kwh,
            "price_per_hour": dict(price_per_hour),
            "power_w": dict(power_w),
            "updated": timezone.now(),
            "updated_by": updated_by,
        },
    )
    return saved


def reset_defaults(*, project: Project) -> None:
    """Go back to the built-in prices and factors."""
    PlanningDefaults.objects.filter(project=project).delete()
