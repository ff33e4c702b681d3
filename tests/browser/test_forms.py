"""The form of a new run in a real browser: choices redraw what depends on them."""

from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from trivium.accounts.models import User
from trivium.datasets.models import Dataset
from trivium.models.models import LanguageModel
from trivium.projects.models import Project

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


@pytest.fixture
def things(project: Project) -> None:
    """Data of several kinds, and a model of two architectures."""
    for kind in ("text", "instructions", "labelled"):
        dataset = Dataset.objects.create(project=project, name=kind, kind=kind)
        dataset.versions.create(number=1, path=f"datasets/{kind}", rows=10)
    for name, architecture in (("Reader", "encoder"), ("Writer", "decoder")):
        LanguageModel.objects.create(
            project=project, name=name, stage="base", architecture=architecture,
            family="llama", path=f"models/{name.lower()}",
        )  # fmt: skip


@pytest.fixture
def session(client: Client, bob: User, things: None) -> str:
    """The session of an engineer."""
    client.force_login(bob)
    return client.cookies["sessionid"].value


@pytest.fixture
def form(
    live_server, session: str, new_page: Callable[..., Page]
) -> Callable[[str], tuple[Page, list[str]]]:
    """Open the form of a kind; the list is what the page complains of meanwhile.

    Playwright's loop forbids the ORM in this thread, so it starts last.
    """

    def open_form(kind: str) -> tuple[Page, list[str]]:
        page = new_page()
        said: list[str] = []

        def hear(text: str) -> None:
            # htmx calls an answer that a newer question made needless an error.
            if "htmx:sendAbort" not in text and "htmx:afterRequest" not in text:
                said.append(text)

        page.on("console", lambda message: hear(message.text))
        page.on("pageerror", lambda error: hear(str(error)))
        cookie = {"name": "sessionid", "value": session, "url": live_server.url}
        page.context.add_cookies([cookie])
        page.goto(f"{live_server.url}/p/grammar/runs/new/?kind={kind}")
        return page, said

    return open_form


def test_an_architecture_changes_dials_and_explanation(form):
    page, said = form("pretrain")
    expect(page.locator("[name=corrupted_share]")).to_have_count(0)
    page.get_by_text("More settings").click()
    page.locator("[name=layers]").fill("3")
    page.locator("#architecture-encoder-decoder").check()
    expect(page.locator("#family-t5")).to_be_checked()
    expect(page.locator("[name=corrupted_share]")).to_be_visible()
    expect(page.locator("[name=layers]")).to_have_value("3")
    expect(page.locator("#more-settings")).to_have_attribute("open", "")
    page.locator("#family-bart").check()
    expect(page.locator("#id_permute_sentences")).to_be_checked()
    # htmx hears of a new control a moment after it is drawn.
    expect(page.locator(".htmx-settling, .htmx-added, .htmx-request")).to_have_count(0)
    page.locator("[name=base_model]").select_option(label="Writer")
    expect(page.locator("[name=layers]")).to_have_count(0)
    assert said == []


def test_model_and_method_change_what_is_offered(form):
    page, said = form("sft")
    expect(page.locator(".mix")).to_contain_text("instructions v1")
    expect(page.locator("#preview")).to_contain_text("ChatML")
    expect(page.locator("[name=lora_rank]")).to_have_count(0)
    page.locator("[name=method]").select_option("lora")
    expect(page.locator("[name=lora_rank]")).to_be_visible()
    expect(page.locator("[name=learning_rate]")).to_have_value("0.0002")
    page.locator("[name=chat_template]").select_option("custom")
    page.locator("[name=custom_template]").fill(
        "{% for m in messages %}<<{{ m.role }}>>"
    )
    expect(page.locator("#preview [role=alert]")).to_contain_text("endfor")
    page.locator("[name=model]").select_option(label="Reader")
    expect(page.locator(".mix")).to_contain_text("labelled v1")
    expect(page.locator("[name=chat_template]")).to_have_count(0)
    assert said == []
