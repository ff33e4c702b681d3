"""Debian's Chromium, and the whole platform in a home of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import new_page
from local_up import Up

__all__ = ["new_page", "up"]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    platform = Up(tmp_path)
    yield platform
    platform.end()
