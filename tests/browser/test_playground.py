"""A conversation in a real browser, with a node that speaks slowly."""

import re

import pytest
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.test import Client
from django.urls import reverse
from fake_node import FakeNode, serving
from journey import wait_for
from serving_lab import make_model, make_node, model, node
from trivium.playground import services
from trivium.serving.choices import of_model

__all__ = ["make_model", "make_node", "model", "node"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
ANSWER = "Hello there, wörld!"


@pytest.fixture
def site(transactional_db):
    """The web as it is served: streams need a server that is async."""
    with serving(ASGIStaticFilesHandler(get_asgi_application())) as url:
        yield url


@pytest.fixture
def talk(project, vera, model, node: FakeNode):
    node.delay_s = 0.1
    return services.start_conversation(
        project=project, created_by=vera, choice_id=of_model(model).id, title="Talk"
    )


# The rows are there before the browser: its event loop forbids the ORM's calls.
@pytest.fixture
def session(vera, talk) -> str:
    client = Client()
    client.force_login(vera)
    return client.cookies["sessionid"].value


@pytest.fixture
def page(session, site, talk, new_page):
    opened = new_page()
    said: list[str] = []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
    yield opened
    assert said == []


@pytest.fixture
def address(site, talk) -> str:
    return site + reverse("playground:conversation", args=["grammar", talk.pk])


def send(page, text: str) -> None:
    page.locator("[data-composer]").fill(text)
    page.locator("[data-composer]").press("Enter")


def answers(page):
    return page.locator(".said--assistant")


def wait_for_answer(page, text: str = ANSWER, number: int = 1) -> None:
    whole = answers(page).nth(number - 1)
    whole.get_by_role("button", name="Copy", exact=True).wait_for()
    assert whole.locator(".said__text").inner_text() == text


def test_a_first_message_makes_a_conversation_and_is_answered(page, site, node):
    page.goto(site + reverse("playground:home", args=["grammar"]))
    send(page, "Hi\nyou")
    wait_for_answer(page)
    assert re.search(r"/playground/\d+/$", page.url)
    assert page.locator(".said--user .said__text").inner_text() == "Hi\nyou"
    assert page.locator("[data-composer]").input_value() == ""


def test_shift_enter_breaks_the_line(page, address):
    page.goto(address)
    page.locator("[data-composer]").press_sequentially("one")
    page.locator("[data-composer]").press("Shift+Enter")
    page.locator("[data-composer]").press_sequentially("two")
    assert page.locator("[data-composer]").input_value() == "one\ntwo"
    assert answers(page).count() == 0


def test_markdown_is_drawn_while_it_comes_and_code_is_copied(page, address, node):
    node.words = ["A **bold** word.\n", "\n", "```\n", "x = 1\n", "```\n", "\nEnd."]
    node.delay_s = 0.3
    page.goto(address)
    send(page, "Go")
    live = page.locator("[data-text] strong")
    live.wait_for()
    assert answers(page).locator(".tool--stop").count() == 1, "it is still written"
    page.locator(".copy-code").wait_for()
    assert answers(page).locator("pre code").inner_text().strip() == "x = 1"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".copy-code").click()
    wait_for(lambda: page.locator(".copy-code").inner_text() == "Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "x = 1\n"


def test_escape_stops_and_what_was_seen_stays(page, address, node):
    node.is_endless = True
    page.goto(address)
    send(page, "Go")
    page.locator(".said__tail", has_text="wörld").wait_for()
    page.keyboard.press("Escape")
    answers(page).get_by_text("slot free after").wait_for()
    kept = answers(page).locator(".said__text").inner_text()
    assert kept.startswith("Hello there, wörld")  # what was on the screen, at least
    wait_for(lambda: node.num_open == 0)
    page.reload()
    assert answers(page).locator(".said__text").inner_text() == kept


def test_a_reload_in_the_middle_loses_nothing(page, address, node):
    node.delay_s = 0.4
    page.goto(address)
    send(page, "Go")
    page.locator(".said__tail", has_text="Hello").wait_for()
    page.reload()
    wait_for_answer(page)
    assert len(node.requests) == 1, "the answer went on, it was not asked for again"


def test_a_second_tab_reads_the_same_stream(page, address, node):
    node.delay_s = 0.4
    page.goto(address)
    send(page, "Go")
    page.locator(".said__tail", has_text="Hello").wait_for()
    other = page.context.new_page()
    other.goto(address)
    wait_for_answer(other)
    wait_for_answer(page)
    assert len(node.requests) == 1


def test_a_closed_browser_frees_the_slot(page, address, node):
    node.is_endless = True
    page.goto(address)
    send(page, "Go")
    page.locator(".said__tail", has_text="Hello").wait_for()
    page.goto("about:blank")
    assert node.left.wait(5)
    wait_for(lambda: node.num_open == 0)


def test_an_edit_branches_and_arrows_move_between_versions(page, address, node):
    node.delay_s = 0
    page.goto(address)
    send(page, "First")
    wait_for_answer(page)
    question = page.locator(".said--user")
    question.get_by_text("Edit", exact=True).click()
    question.locator("textarea").fill("Second")
    question.get_by_role("button", name="Send as a new version").click()
    page.locator(".said--user", has_text="2/2").wait_for()
    wait_for_answer(page)
    shown = page.locator(".said--user .said__text")
    assert shown.inner_text() == "Second"
    page.locator(".said--user").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".said--user", has_text="1/2").wait_for()
    assert shown.inner_text() == "First"
    page.keyboard.press("Alt+ArrowRight")
    page.locator(".said--user", has_text="2/2").wait_for()
    assert shown.inner_text() == "Second"


def test_what_was_deleted_is_brought_back(page, address, node):
    node.delay_s = 0
    page.goto(address)
    send(page, "First")
    wait_for_answer(page)
    answers(page).get_by_role("button", name="Delete").click()
    page.get_by_text("The message was deleted").wait_for()
    assert answers(page).count() == 0
    page.get_by_role("button", name="Undo").click()
    wait_for_answer(page)


def test_a_lost_node_is_said_and_tried_again(page, address, node):
    node.breaks_after = 3
    page.goto(address)
    send(page, "Go")
    page.get_by_role("alert").wait_for()
    assert "lost" in page.get_by_role("alert").inner_text()
    node.breaks_after = None
    page.get_by_role("button", name="Try to go on").click()
    page.locator(".said--assistant", has_text="2/2").wait_for()
    wait_for(lambda: len(node.requests) == 2)
    assert node.requests[1].answered_ids == (0, 1)


def test_an_editor_opens_in_sight_and_escape_leaves_it(page, address, node):
    node.delay_s = 0
    node.words = ["One more.\n\n"] * 30
    page.goto(address)
    send(page, "First")
    answers(page).get_by_role("button", name="Regenerate").wait_for()
    answers(page).get_by_text("Edit", exact=True).click()
    area = answers(page).locator("textarea")
    wait_for(lambda: area.evaluate("area => area === document.activeElement"))
    below = page.locator(".composer").bounding_box()["y"]
    keep = answers(page).get_by_role("button", name="Keep as a new version")
    box = keep.bounding_box()
    assert box["y"] + box["height"] <= below
    page.keyboard.press("Escape")
    assert area.is_hidden()


def test_the_keys_are_listed(page, address):
    page.goto(address)
    page.locator("[data-keys-open]").click()
    assert page.get_by_text("Stop the answer, keeping what you saw").is_visible()
