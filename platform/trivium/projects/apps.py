"""The projects app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """Configuration of the projects app."""

    name = "trivium.projects"
