"""A real worker in processes of its own, on the database of the test."""

from asgi_lab import asgi_url
from chromium import new_page
from supervisor_lab import lab, start_node

__all__ = ["asgi_url", "lab", "new_page", "start_node"]
