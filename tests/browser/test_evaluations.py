"""What came of it, in a browser: answers are narrowed in place, and Back works."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from evaluations_lab import facts_of, row
from fake_node import serving
from playwright.sync_api import Page, expect
from trivium.asgi import django_application
from trivium.evaluations.models import Evaluation
from trivium.evaluations.taking_in import row_of

pytestmark = [
    pytest.mark.browser,
    # whitenoise sends static files so; a server of its own process only logs it.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning"),
]
HOSTILE = "<script>document.title = 'owned'</script>" + "word" * 60


@pytest.fixture(autouse=True)
def _beside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the database in the thread of Playwright's loop, which does not run then."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def tab(transactional_db, project, alice, new_page) -> Iterator[Page]:
    made = Evaluation.objects.create(project=project, name="First", facts=facts_of())
    for place in range(30):
        row_of(made, place, row(place, HOSTILE)).save()
    client = Client()
    client.force_login(alice)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with serving(django_application) as url:
        page = new_page()
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}]
        )
        page.goto(f"{url}/p/grammar/evaluate/{made.pk}/")
        yield page


def test_answers_are_narrowed_in_place_and_back_leads_back(tab: Page):
    errors: list[str] = []
    tab.on("console", lambda said: said.type == "error" and errors.append(said.text))
    answers = tab.locator("#answers")
    expect(answers).to_contain_text("Who is number 0?")
    expect(answers.locator("article")).to_have_count(20)
    tab.get_by_role("link", name="Where they differ").click()
    expect(answers).not_to_contain_text("Who is number 0?")
    expect(answers).to_contain_text("20 of 30")
    assert "show=differ" in tab.url
    tab.go_back()
    expect(answers).to_contain_text("Who is number 0?")
    tab.get_by_role("link", name="After →").click()
    expect(answers.locator("article")).to_have_count(10)
    expect(answers).to_contain_text("Who is number 29?")
    assert tab.title().startswith("First")
    assert errors == []


def test_a_phone_shows_all_of_it_without_scrolling_sideways(tab: Page):
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.reload()
    too_wide = "document.documentElement.scrollWidth - innerWidth"
    assert tab.evaluate(too_wide) <= 0
    sides = tab.locator(".answered__side").all()[:3]
    places = [side.bounding_box() for side in sides]
    assert all(place and place["width"] > 300 for place in places)
    assert places[0]["y"] < places[1]["y"] < places[2]["y"]
