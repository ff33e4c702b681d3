"""An admin registers a server: tries it without losing what was typed, then adds it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from fake_node import serving
from playwright.sync_api import expect
from serving_lab import make_model, make_node, make_secret, model, node
from trivium.asgi import django_application
from trivium.serving import services
from trivium.serving.models import Endpoint

__all__ = ["make_model", "make_node", "model", "node"]
pytestmark = [
    pytest.mark.browser,
    # whitenoise sends static files so; a server of its own process only logs it.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning"),
]


@pytest.fixture(autouse=True)
def _beside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the database in the thread of Playwright's loop, which does not run then."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def tab(transactional_db, root, new_page) -> Iterator[object]:
    """A tab in which root has signed in."""
    client = Client()
    client.force_login(root)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with serving(django_application) as url:
        made = new_page()
        made.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}]
        )
        made.base = url
        yield made


def shoot(page, name: str) -> None:
    """Keep a picture where TRIVIUM_SHOTS names a folder."""
    if folder := os.environ.get("TRIVIUM_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_server_is_tried_and_added(tab, node, model, bob):
    tab.goto(f"{tab.base}/endpoints/")
    shoot(tab, "empty")
    tab.get_by_label("Name").fill("mirror")
    tab.get_by_label("Address").fill(f"{tab.base}/v1")
    tab.get_by_label("API key").fill("tv_wrong")
    tab.get_by_role("button", name="Test it").click()
    expect(tab.locator("#tried")).to_contain_text("unknown, expired or revoked")
    tab.get_by_label("API key").fill(make_secret(bob))
    tab.get_by_role("button", name="Test it").click()
    expect(tab.locator("#tried")).to_contain_text("It answers")
    expect(tab.locator("#tried")).to_contain_text("grammar/Tiny")
    shoot(tab, "tried")
    tab.get_by_role("button", name="Add endpoint").click()
    expect(tab.get_by_role("status").first).to_contain_text("mirror was added")
    assert Endpoint.objects.get().model_ids == ["grammar/Tiny"]
    shoot(tab, "list")
    tab.get_by_role("link", name="mirror").click()
    expect(tab.get_by_label("Models")).to_have_value("grammar/Tiny")
    shoot(tab, "edit")

    node.has_loaded(f"model-{model.pk}")
    services.beat_node(name="node-1", state=node.state())
    tab.goto(f"{tab.base}/workers/")
    expect(tab.get_by_role("link", name="Tiny")).to_be_visible()
    shoot(tab, "workers")
    tab.emulate_media(color_scheme="dark")
    shoot(tab, "workers-dark")
    tab.set_viewport_size({"width": 390, "height": 800})
    shoot(tab, "workers-phone")
    tab.goto(f"{tab.base}/endpoints/")
    shoot(tab, "list-phone")
    tab.set_viewport_size({"width": 1280, "height": 860})
    tab.goto(f"{tab.base}/accounts/settings/tokens/")
    tab.get_by_label("Name").fill("notebook")
    tab.get_by_label("May do").select_option("inference")
    tab.get_by_role("button", name="Make token").click()
    expect(tab.locator("#snippet")).to_contain_text("from openai import OpenAI")
    shoot(tab, "token")
