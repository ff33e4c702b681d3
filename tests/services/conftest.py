"""A real worker in processes of its own, on the database of the test."""

from chromium import new_page
from supervisor_lab import lab, start_node

__all__ = ["lab", "new_page", "start_node"]
