"""The campaigns app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """Configuration of the campaigns app."""

    name = "trivium.campaigns"
