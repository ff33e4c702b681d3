"""The web as it runs in production, in a process: streams need an ASGI server."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest
from django.test import Client
from django.utils import timezone
from fake_node import serving
from local_up import ROOT, free_port
from playwright.sync_api import Page
from storyteller import Storyteller
from supervisor_lab import child_environment
from trivium.accounts.models import User
from trivium.serving import services
from trivium.serving.keys import node_key
from trivium.serving.models import Node

SOURCES = ("platform", "workers")
Open = Callable[..., Page]


@pytest.fixture
def storyteller(transactional_db: None) -> Iterator[Storyteller]:
    """A node whose answers look like a model's."""
    teller = Storyteller(node_key())
    with serving(teller) as url:
        services.announce_node(name="teller", url=url, state=teller.state())
        # Nothing beats for it, and a test may take longer than nodes may be silent.
        Node.objects.update(heartbeat=timezone.now() + timedelta(hours=1))
        yield teller


@pytest.fixture
def asgi_url(transactional_db: None) -> Iterator[str]:
    """Start the web on the database of the test."""
    port = free_port()
    web = subprocess.Popen(
        [
            sys.executable, "-m", "uvicorn", "trivium.asgi:application",
            f"--port={port}", "--lifespan=off", "--log-level=warning",
            "--timeout-graceful-shutdown=1",
        ],
        env=child_environment()
        | {"PYTHONPATH": os.pathsep.join(str(ROOT / one) for one in SOURCES)},
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while not answers(url):
        assert web.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield url
    web.terminate()
    web.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code < 600
    except httpx.HTTPError:
        return False


@pytest.fixture
def session(vera: User) -> str:
    """Sign Vera in before the browser starts: its loop forbids the ORM's calls."""
    client = Client()
    client.force_login(vera)
    return client.cookies["sessionid"].value


@pytest.fixture
def open_page(session: str, asgi_url: str, new_page: Callable[..., Page]) -> Open:
    """Open pages as Vera."""

    def open_path(path: str, **size: int) -> Page:
        page = new_page(**size)
        page.context.add_cookies(
            [{"name": "sessionid", "value": session, "url": asgi_url}]
        )
        page.goto(asgi_url + path)
        return page

    return open_path
