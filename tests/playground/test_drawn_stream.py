"""The stream a page reads: an answer as HTML, from its beginning."""

import asyncio
import json

import pytest
from django.test import AsyncClient
from django.urls import reverse
from trivium.playground import log, streaming, views_stream
from trivium.playground.services import go_on

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(streaming, "LINGER_S", 0.05)
    monkeypatch.setattr(streaming, "POLL_S", 0.01)
    monkeypatch.setattr(views_stream, "DRAW_S", 0.01)


def stream(user, generation, **params) -> list[tuple[int, str, dict]]:
    """Read a stream to its end; (id, event, data) of each."""
    url = reverse("playground:events", args=["grammar", generation.pk])

    async def read() -> str:
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(url, params)
        assert response["Content-Type"] == "text/event-stream"
        parts = [part.decode() async for part in response.streaming_content]
        await asyncio.sleep(0.1)
        return "".join(parts)

    found = []
    for block in asyncio.run(asyncio.wait_for(read(), 20)).split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            told = json.loads(lines["data"])
            found.append((int(lines["id"]), lines["event"], told))
    return found


def drawn(events) -> str:
    """What the page shows in the end."""
    settled, tail = "", ""
    for _, name, told in events:
        if name != "tokens":
            continue
        if told["is_first"]:
            settled = ""
        settled, tail = settled + told["settled"], told["tail"]
    return settled + tail


def test_a_page_gets_html_and_one_end(vera, say, node):
    node.words = ["**Hi", "**\n", "\n", "Second ", "<b>part</b>"]
    node.delay_s = 0.05
    generation = say()
    events = stream(vera, generation, drawn=1)
    assert drawn(events) == (
        "<p><strong>Hi</strong></p>\n<p>Second &lt;b&gt;part&lt;/b&gt;</p>\n"
    )
    names = [name for _, name, _ in events]
    assert (names[0], names[-1]) == ("start", "done")
    assert events[0][2] == {"type": "start"}, "it tells no model's name"
    assert len(names) > 3, "it comes in pieces"
    assert sum(told.get("num", 0) for _, _, told in events) == 5
    assert [told["is_first"] for _, name, told in events if name == "tokens"][:2] == [
        True,
        False,
    ]


def test_a_page_that_comes_back_is_drawn_from_the_beginning_at_once(vera, say, node):
    generation = say()
    first = stream(vera, generation, drawn=1)
    again = stream(vera, generation, drawn=1)
    assert drawn(again) == drawn(first) == "<p>Hello there, wörld!</p>\n"
    assert [name for _, name, _ in again] == ["start", "tokens", "done"]
    # What a stop names as seen is what was drawn.
    assert again[1][0] == first[-1][0] - 1


def test_what_an_answer_begins_with_is_drawn_too(vera, say, node):
    generation = say()
    log.stop_writing(generation, None)
    more = go_on(generation, sender=vera, token_ids=[8, 9], text="Well, *now*: ")
    events = stream(vera, more, drawn=1)
    assert drawn(events).startswith("<p>Well, <em>now</em>: Hello")


def test_programs_get_the_tokens(vera, say, node):
    generation = say()
    events = stream(vera, generation)
    told = [one for _, name, one in events if name == "tokens"]
    assert "".join(one["text"] for one in told) == "Hello there, wörld!"
    assert told[0]["tokens"][0]["logprob"] == -0.5


def test_strangers_read_no_stream(mallory, bob, say):
    generation = say()
    url = reverse("playground:events", args=["grammar", generation.pk])

    async def ask(user):
        client = AsyncClient()
        if user is not None:
            await client.aforce_login(user)
        return (await client.get(url, {"drawn": 1})).status_code

    assert [asyncio.run(ask(user)) for user in (mallory, bob, None)] == [404, 404, 302]
