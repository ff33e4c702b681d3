"""Labeling in real browsers: by keyboard, three at once, on a bad line."""

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from campaigns.conftest import make_campaign
from django.contrib.sessions.models import Session
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.db import connections
from django.test import Client
from django.urls import reverse
from fake_node import serving
from trivium.accounts.models import User
from trivium.campaigns.models import Item
from trivium.campaigns.questions import Questions
from trivium.comparisons.models import Vote
from trivium.projects.models import Role
from trivium.projects.services import add_member

__all__ = ["make_campaign"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


@pytest.fixture
def site(transactional_db):
    with serving(ASGIStaticFilesHandler(get_asgi_application())) as url:
        yield url


@pytest.fixture
def people(project, lara) -> list[User]:
    others = [User.objects.create_user(name) for name in ("lea", "leo")]
    for other in others:
        add_member(project=project, user=other, role=Role.LABELER)
    return [lara, *others]


@pytest.fixture
def sessions(people, bob) -> list[str]:
    """Cookies, made before the browser: its event loop forbids the ORM's calls."""
    found = []
    for person in [*people, bob]:
        client = Client()
        client.force_login(person)
        found.append(client.cookies["sessionid"].value)
    return found


@pytest.fixture
def enter(site, sessions, new_page):
    """Open a campaign's labeling page as one of three people."""
    first = new_page()
    browser = first.context.browser
    contexts = []
    said: list[str] = []

    def open_page(path: str, who: int = 0, width: int = 1280):
        context = browser.new_context(viewport={"width": width, "height": 860})
        contexts.append(context)
        context.add_cookies(
            [{"name": "sessionid", "value": sessions[who], "url": site}]
        )
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(site + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def ask(question: Callable[[], Any]) -> Any:
    """Ask the database in a thread: the browser's event loop forbids it in this one."""

    def answer() -> Any:
        try:
            return question()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(answer).result()


def address(campaign) -> str:
    return reverse("campaigns:label", args=["grammar", campaign.pk])


def key_of(page) -> str:
    return page.locator("[data-task]:not([hidden])").get_attribute("data-task")


def is_done(page) -> bool:
    return page.locator("[data-nothing]").is_visible()


def press(page, key: str) -> None:
    """Press a key, and wait for the next task or the end."""
    before = key_of(page)
    page.keyboard.press(key)
    page.locator(f'[data-task="{before}"]').wait_for(state="detached")
    page.locator("[data-task]:not([hidden]), [data-nothing]:not([hidden])").wait_for()


def settle(page) -> None:
    """Wait until every vote was answered."""
    page.wait_for_function(
        "() => !Object.keys(localStorage).some((key) => key.includes('votes'))"
    )


@pytest.fixture
def campaign(make_campaign):
    return make_campaign(8, repeat_share=0)


@pytest.fixture
def crowd_campaign(make_campaign):
    return make_campaign(60, shared_share=0.25)


def wish(person: int, text: str) -> str:
    """Return the key a person presses: each has a way of their own to choose."""
    left = text.split("Right\n", maxsplit=1)[0]
    number = int(re.search(r"Answer (\d+) of", left).group(1))
    large = "1" if "Large" in left else "2"
    small = "2" if "Large" in left else "1"
    if person == 0:
        return small if number % 5 == 0 else large
    if person == 1:
        return {0: small, 1: "1"}.get(number % 5, large)
    return "b" if number % 10 == 0 else large


def by_hand(votes: list[Vote], items: dict[int, Item]) -> dict[str, str]:
    """Compute what the pages say, from the votes alone and as the textbooks do."""
    by_item: dict[int, list[str]] = defaultdict(list)
    for vote in votes:
        by_item[vote.comparison_id].append(vote.choice)
    shared = [said for said in by_item.values() if len(said) > 1]
    pairs = [pair for said in shared for pair in itertools.combinations(said, 2)]
    equal = sum(one == other for one, other in pairs)
    # Krippendorff's alpha, nominal: observed against expected disagreement.
    observed = sum(
        sum(one != other for one, other in itertools.permutations(said, 2))
        / (len(said) - 1)
        for said in shared
    )
    counts = Counter(choice for said in shared for choice in said)
    total = sum(counts.values())
    expected = sum(
        counts[one] * counts[other] for one, other in itertools.permutations(counts, 2)
    ) / (total - 1)
    # Two models: Bradley-Terry's odds are wins against losses, ties taken apart.
    wins = Counter(
        (items[vote.comparison_id].answerer_a if vote.choice == "a" else
         items[vote.comparison_id].answerer_b).title
        for vote in votes
        if vote.choice in {"a", "b"}
    )  # fmt: skip
    points = 400 * math.log10(wins["Large"] / wins["Small"])
    left = sum(vote.choice == vote.shown_left for vote in votes)
    decided = sum(vote.choice in {"a", "b"} for vote in votes)
    return {
        "equal": f"{100 * equal / len(pairs):.0f}\u00a0%",
        "alpha": f"{1 - observed / expected:.2f}".replace("-", "\u2212"),
        "large": f"{1000 + points / 2:,.0f}",
        "wins": str(wins["Large"]),
        "left": f"{100 * left / decided:.0f}\u00a0%",
        "decided": str(decided),
    }


def test_three_people_label_at_once_and_the_pages_say_what_it_amounts_to(
    crowd_campaign, enter
):
    pages = [enter(address(crowd_campaign), who) for who in range(3)]
    while any(not is_done(page) for page in pages):
        for person, page in enumerate(pages):
            if not is_done(page):
                shown = page.locator("[data-task]:not([hidden]) [data-answers]")
                press(page, wish(person, shown.inner_text()))
    for page in pages:
        settle(page)

    votes = ask(lambda: list(Vote.objects.all()))
    items = ask(
        lambda: Item.objects.select_related("answerer_a", "answerer_b").in_bulk()
    )
    assert len(votes) == sum(item.wanted for item in items.values()) > 60
    for pk, voters in Counter(vote.comparison_id for vote in votes).items():
        assert voters == items[pk].wanted == items[pk].num_votes
    assert len({(vote.comparison_id, vote.labeler_id) for vote in votes}) == len(votes)
    assert sum(vote.ms_active > 0 for vote in votes) > len(votes) / 2

    figures = by_hand(votes, items)
    page = enter("/p/grammar/label/", 3)

    def text_of(tab: str) -> str:
        page.goto(page.url.split("/p/")[0] + reverse(
            f"campaigns:{tab}", args=["grammar", crowd_campaign.pk]
        ))  # fmt: skip
        return page.locator("main").inner_text()

    agreement = text_of("agreement")
    assert figures["alpha"] in agreement
    assert figures["equal"] in agreement
    audit = text_of("position")
    assert f"{figures['decided']} votes with a winner" in audit
    assert figures["left"] in audit
    ranking = text_of("models")
    first = ranking[ranking.index("Large") :]
    assert re.search(rf"{figures['large']}\s", first.replace("\t", " "))
    assert figures["wins"] in first


def test_undo_brings_the_last_one_back(campaign, enter):
    page = enter(address(campaign))
    text = page.locator("[data-task]:not([hidden]) [data-side=left]").inner_text()
    page.keyboard.press("s")
    press(page, "1")
    page.keyboard.press("u")
    page.locator('[aria-pressed="true"][value="left"]').wait_for()
    shown = page.locator("[data-task]:not([hidden]) [data-side=left]").inner_text()
    assert shown == text
    assert page.locator("[data-task]:not([hidden]) [value='1']").is_checked()
    press(page, "2")
    settle(page)
    votes = ask(lambda: list(Vote.objects.all()))
    assert sorted(one.undone is None for one in votes) == [False, True]


def test_votes_of_a_lost_connection_are_sent_when_it_is_back(campaign, enter):
    page = enter(address(campaign))
    page.context.set_offline(True)
    page.keyboard.press("1")
    page.get_by_text("Not sent yet").wait_for()
    page.keyboard.press("2")
    assert ask(Vote.objects.count) == 0
    page.context.set_offline(False)
    settle(page)
    assert ask(Vote.objects.count) == 2


def test_a_vote_of_a_lost_session_is_kept_until_one_is_back(campaign, enter, sessions):
    page = enter(address(campaign))
    kept = ask(lambda: Session.objects.get(session_key=sessions[0]))
    ask(Session.objects.all().delete)
    page.keyboard.press("1")
    page.get_by_text("You are signed out").wait_for()
    assert ask(Vote.objects.count) == 0
    ask(lambda: kept.save(force_insert=True))
    page.context.add_cookies(
        [{"name": "sessionid", "value": sessions[0], "url": page.url}]
    )
    page.reload()
    settle(page)
    assert ask(Vote.objects.count) == 1


@pytest.fixture
def long_campaign(make_campaign):
    questions = Questions(axes="required", note="optional", strength="optional")
    return make_campaign(3, questions=questions)


def test_what_is_filled_in_survives_a_reload_and_is_sent_whole(long_campaign, enter):
    page = enter(address(long_campaign))
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("Still to answer").wait_for()
    for key in ("q", "w", "w", "e", "e", "e"):
        page.keyboard.press(key)
    page.keyboard.press("n")
    page.keyboard.type("a thought")
    page.reload()
    page.locator('[aria-pressed="true"][value="left"]').wait_for()
    assert page.locator("[name=note]").first.input_value() == "a thought"
    press(page, "Enter")
    settle(page)
    vote = ask(Vote.objects.get)
    other = "b" if vote.shown_left == "a" else "a"
    assert vote.details["axes"] == {
        "helpful": vote.shown_left, "harmless": "tie", "honest": other
    }  # fmt: skip
    assert vote.details["note"] == "a thought"


def test_differences_are_marked_and_the_phone_has_no_sideways_scroll(campaign, enter):
    page = enter(address(campaign), width=390)
    page.keyboard.press("d")
    marked = page.locator("[data-task]:not([hidden]) mark").all_inner_texts()
    assert sorted(marked) == ["Large.", "Small."]
    page.keyboard.press("d")
    assert page.locator("mark").count() == 0
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
