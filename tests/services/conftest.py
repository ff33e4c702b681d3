"""A real worker in processes of its own, on the database of the test."""

from supervisor_lab import lab, start_node

__all__ = ["lab", "start_node"]
