"""The three stages are begun from the form, and the picture follows by itself."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from fake_node import serving
from pipelines_lab import data, fail, finish, step_of
from playwright.sync_api import Page, expect
from trivium.asgi import django_application
from trivium.pipelines.models import Pipeline

pytestmark = [
    pytest.mark.browser,
    # whitenoise sends static files so; a server of its own process only logs it.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning"),
]
__all__ = ["data"]


@pytest.fixture(autouse=True)
def _beside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the database in the thread of Playwright's loop, which does not run then."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def tab(transactional_db, project, alice, data, new_page) -> Iterator[Page]:
    client = Client()
    client.force_login(alice)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with serving(django_application) as url:
        made = new_page()
        made.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}]
        )
        made.goto(f"{url}/p/grammar/pipelines/")
        yield made


def test_all_three_stages_are_begun_and_followed(tab: Page):
    errors: list[str] = []
    tab.on("console", lambda said: said.type == "error" and errors.append(said.text))
    tab.get_by_role("link", name="Start all three stages").click()
    tab.get_by_label("Name", exact=True).fill("From the form")
    expect(tab.get_by_label("Votes", exact=True)).to_be_hidden()
    choices = tab.get_by_label("Preferences", exact=True)
    choices.select_option(label="Collect them in a campaign")
    expect(tab.get_by_label("Votes", exact=True)).to_be_visible()
    tab.locator("#id_prompts").select_option(label="Prompts v1")
    tab.get_by_role("button", name="Start the pipeline").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("From the form")
    pipeline = Pipeline.objects.get()
    expect(tab.locator("#step-labels")).to_contain_text("waits for step instruct")

    # Nothing is reloaded: the picture asks by itself.
    finish(step_of(pipeline, "tokenizer").run)
    finish(step_of(pipeline, "base").run, validation_loss=2.25)
    expect(tab.locator("#step-base")).to_contain_text("2.25")
    fail(step_of(pipeline, "instruct").run, "The loss is not finite.")
    expect(tab.locator("#step-instruct")).to_contain_text("The loss is not finite.")
    tab.locator("#edit-instruct").click()
    text = "model: {from: base}\ndatasets: [Asked]"
    tab.get_by_label("Settings", exact=True).fill(text)
    tab.get_by_role("button", name="Save and go on").click()
    expect(tab.locator("#step-instruct")).to_contain_text("Waiting")
    assert errors == []
