"""A project with data for all three stages, and pipelines over it."""

from pipelines_lab import data, make

__all__ = ["data", "make"]
