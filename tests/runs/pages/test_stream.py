"""The live stream: what is new since a cursor, to those who still may see it."""

import asyncio
import json

import pytest
from django.test import AsyncClient
from runspec.layout import log_file
from trivium import storage
from trivium.projects.models import Membership
from trivium.runs import views_live
from trivium.runs.models import Run
from trivium.runs.views_live import Cursor, parse_cursor

pytestmark = pytest.mark.django_db(databases=["default", "metrics"], transaction=True)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(views_live, "POLL_S", 0.01)


def parse(chunk: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in chunk.strip().splitlines():
        key, _, value = line.partition(": ")
        fields[key] = f"{fields[key]}\n{value}" if key in fields else value
    return fields


@pytest.fixture
def stream(bob):
    """Read a stream to its end, or until `until` says it is enough."""

    def read(address: str, *, user=bob, until=None, headers=None):
        async def go() -> list[dict[str, str]]:
            client = AsyncClient()
            await client.aforce_login(user)
            response = await client.get(address, headers=headers or {})
            assert response["Content-Type"] == "text/event-stream"
            events = []
            chunks = aiter(response)
            async for chunk in chunks:
                events.append(parse(chunk.decode()))
                if until and until(events):
                    break
            await chunks.aclose()
            return events

        return asyncio.run(asyncio.wait_for(go(), 20))

    return read


def names(events) -> list[str]:
    return [event["event"] for event in events if "event" in event]


def test_a_finished_run_is_told_once_and_ends(stream, pretrain, set_state, url):
    set_state(pretrain, "succeeded")
    events = stream(url("stream", pretrain))
    assert names(events) == ["status", "actions", "side", "counts", "points", "end"]
    assert "Succeeded" in events[1]["data"]
    assert json.loads(events[-1]["data"]) == {"state": "succeeded"}


def test_a_failure_comes_with_its_reason(stream, pretrain, set_state, url):
    set_state(pretrain, "failed", reason="It broke.", error_class="crash")
    events = stream(url("stream", pretrain))
    failure = next(event for event in events if event.get("event") == "failure")
    assert "It broke." in failure["data"]


def test_after_a_reconnect_only_what_is_new_comes(stream, pretrain, set_state, url):
    set_state(pretrain, "succeeded")
    first = stream(url("stream", pretrain))
    headers = {"Last-Event-ID": first[-1]["id"]}
    again = stream(url("stream", pretrain), headers=headers)
    assert names(again) == ["end"]


def test_new_points_and_log_lines_are_announced(
    stream, pretrain, set_state, add_points, url
):
    set_state(pretrain, "running")
    file = log_file(storage.run_folder(pretrain.pk), 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("line one\n")
    steps = iter(range(1, 100))

    def until(events) -> bool:
        if names(events).count("points") == 1 and "log" in names(events):
            file.write_text("line one\nline two\n")
        return names(events).count("log") == 2

    events = stream(f"{url('stream', pretrain)}?tab=log", until=until)
    told = [json.loads(e["data"]) for e in events if e.get("event") == "log"]
    assert [one["text"] for one in told] == ["line one\n", "line two\n"]
    assert [one["is_new"] for one in told] == [True, False]
    add_points(pretrain, {"train/loss": [(next(steps), 1.0)]})
    headers = {"Last-Event-ID": events[-1]["id"]}
    later = stream(
        url("stream", pretrain), headers=headers, until=lambda e: "points" in names(e)
    )
    assert names(later) == ["points"]


def test_a_member_who_was_removed_is_told_no_more(
    stream, bob, pretrain, set_state, url
):
    set_state(pretrain, "running")

    def until(events) -> bool:
        if "points" in names(events):
            # Another thread's connection, as a person's browser would use.
            remove(bob)
        return False

    events = stream(url("stream", pretrain), until=until)
    assert names(events)[-1] == "gone"


def remove(user) -> None:
    import threading

    from django.db import connections

    def work() -> None:
        Membership.objects.filter(user=user).delete()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_silence_is_broken_by_heartbeats(stream, pretrain, set_state, url, monkeypatch):
    monkeypatch.setattr(views_live, "HEARTBEAT_S", 0.02)
    set_state(pretrain, "running")
    events = stream(
        url("stream", pretrain), until=lambda events: "" in events[-1] and events[-1]
    )
    assert events[-1] == {"": "still here"}


def test_polling_answers_the_same_as_json(bob, client, pretrain, url):
    client.force_login(bob)
    told = client.get(url("stream", pretrain), {"once": "1"}).json()
    assert [name for name, _ in told["events"]] == [
        "status", "actions", "side", "counts", "points",
    ]  # fmt: skip
    query = {"once": "1", "cursor": told["cursor"]}
    assert client.get(url("stream", pretrain), query).json()["events"] == []


def test_a_viewer_streams_without_buttons(stream, vera, pretrain, set_state, url):
    set_state(pretrain, "cancelled")
    events = stream(url("stream", pretrain), user=vera)
    actions = next(event for event in events if event.get("event") == "actions")
    assert "button" not in actions.get("data", "")


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1.2.3", "1.2.3.4.x", "-1.-1.-1.0.0.0", "²." * 5, "9" * 99]
)
def test_a_cursor_that_is_none_starts_from_the_beginning(text):
    assert parse_cursor(text) == Cursor()


def test_a_cursor_survives_its_text():
    cursor = Cursor(5, 1, 200, 1, 300)
    assert parse_cursor(str(cursor)) == cursor


def test_a_dying_run_ends_the_stream(stream, pretrain, set_state, url):
    Run.objects.filter(pk=pretrain.pk).update(state="cancelled")
    assert names(stream(url("stream", pretrain)))[-1] == "end"


def test_who_watched_the_preflight_hears_that_the_run_began(
    stream, sft, set_state, url
):
    set_state(sft, "running", fence=1)
    events = stream(
        url("stream", sft) + "?tab=preflight",
        until=lambda events: "counts" in names(events),
    )
    assert "begun" in names(events)
    elsewhere = stream(
        url("stream", sft) + "?tab=events",
        until=lambda events: "counts" in names(events),
    )
    assert "begun" not in names(elsewhere)
