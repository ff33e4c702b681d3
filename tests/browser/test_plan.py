"""The planner answers while one types, and its address leads back to the answer."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from fake_node import serving
from playwright.sync_api import Page, expect
from trivium.asgi import django_application

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
def tab(transactional_db, project, alice, new_page) -> Iterator[Page]:
    client = Client()
    client.force_login(alice)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with serving(django_application) as url:
        made = new_page()
        made.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}]
        )
        made.goto(f"{url}/p/grammar/plan/")
        yield made


def test_the_answer_follows_what_is_typed(tab: Page):
    errors: list[str] = []
    tab.on("console", lambda said: said.type == "error" and errors.append(said.text))
    size = tab.get_by_label("Parameters")
    size.fill("1B")
    expect(tab.locator("#plan")).to_contain_text("1 B parameters, 20 B tokens")
    expect(size).to_be_focused()
    size.fill("lots")
    expect(tab.locator("#plan")).to_contain_text("There is no answer to this yet.")
    tab.get_by_label("A budget", exact=True).check()
    expect(size).to_be_hidden()
    tab.get_by_role("textbox", name="Budget").fill("1000")
    expect(tab.locator("#plan")).to_contain_text("≈ 1.99 B parameters")

    tab.goto(tab.url)
    expect(tab.locator("#plan")).to_contain_text("≈ 1.99 B parameters")
    expect(tab.get_by_role("textbox", name="Budget")).to_have_value("1000")
    assert errors == []
