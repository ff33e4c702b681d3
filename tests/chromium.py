"""Debian's Chromium for tests."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright


@pytest.fixture
def new_page() -> Iterator[Callable[..., Page]]:
    """Open tabs of one person's browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )
        contexts: list[BrowserContext] = []

        def open_page(width: int = 1280, height: int = 860) -> Page:
            if not contexts:
                contexts.append(
                    browser.new_context(
                        viewport={"width": width, "height": height},
                        accept_downloads=True,
                    )
                )
            return contexts[0].new_page()

        yield open_page
        browser.close()
