"""What a project reckons with when it plans."""

from django.db import models

from trivium.accounts.models import User
from trivium.planning import devices
from trivium.projects.models import Project


class PlanningDefaults(models.Model):
    """A project's prices and factors; a project without a row has the built-in ones."""

    project = models.OneToOneField(
        Project, models.CASCADE, related_name="planning_defaults"
    )
    currency = models.CharField(max_length=3, default="USD")
    utilisation = models.FloatField(default=devices.UTILISATION)
    pue = models.FloatField(default=devices.PUE)
    grid_kg_per_kwh = models.FloatField(default=devices.GRID_KG_PER_KWH)
    price_per_hour = models.JSONField(default=dict, blank=True)
    """Of one device, by its key, where it is not the table's."""
    power_w = models.JSONField(default=dict, blank=True)
    """The same for the power of a device."""
    updated = models.DateTimeField(null=True)
    updated_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")


class Budget(models.Model):
    """What a project may spend on runs; a project without a row may spend anything."""

    class Unit(models.TextChoices):
        MONEY = "money", "Money"
        DEVICE_HOURS = "device_hours", "Device-hours"
        KWH = "kwh", "kWh"

    project = models.OneToOneField(Project, models.CASCADE, related_name="budget")
    amount = models.FloatField()
    unit = models.CharField(max_length=12, choices=Unit, default=Unit.MONEY)
    is_spent = models.BooleanField(default=False)
    """Whether it was nearly spent once since it was set; then no run starts."""
    updated = models.DateTimeField()
    updated_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
