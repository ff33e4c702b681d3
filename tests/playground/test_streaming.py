"""Answers are logs: written once, read by anybody, gone on with, taken over."""

import asyncio
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from playground_lab import numbers
from trivium.playground import log, streaming
from trivium.playground.models import Generation, GenerationEvent
from trivium.playground.views_stream import stop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(streaming, "LINGER_S", 0.05)
    monkeypatch.setattr(streaming, "POLL_S", 0.01)


async def read_all(generation, after=0, until=None):
    entries = []
    reading = streaming.read(generation.pk, after)
    async for entry in reading:
        if entry is None:
            continue
        entries.append(entry)
        if until and until(entries):
            break
    await reading.aclose()
    return entries


def text_of(entries) -> str:
    return "".join(entry.payload.get("text", "") for entry in entries)


def kinds(entries) -> list[str]:
    return [entry.payload["type"] for entry in entries]


def run(work):
    async def go():
        try:
            return await asyncio.wait_for(work(), 30)
        finally:
            # Whoever left last is let go after a moment.
            await asyncio.sleep(0.1)

    return asyncio.run(go())


def test_an_answer_is_written_as_it_is_read(say, node):
    generation = say()
    entries = run(lambda: read_all(generation))
    assert kinds(entries)[0] == "start"
    assert kinds(entries)[-1] == "done"
    assert text_of(entries) == "Hello there, wörld!"
    generation.refresh_from_db()
    assert generation.state == "done"
    assert generation.text == generation.message.content == "Hello there, wörld!"
    assert len(generation.token_ids) == 5
    assert generation.receipt["engine"] == "fake 1 cpu fp32"
    assert generation.timings["tokens_per_s"] == 10
    assert node.requests[0].sampling.seed is not None


def test_nobody_is_asked_before_somebody_reads(say, node):
    generation = say()
    assert node.requests == []
    assert generation.state == "new"


def test_two_readers_get_the_same_and_the_model_is_asked_once(say, node, counting):
    counting(30, 0.005)
    generation = say()

    async def both():
        return await asyncio.gather(read_all(generation), read_all(generation))

    one, two = run(both)
    assert one == two
    assert text_of(one) == numbers(30)
    assert len(node.requests) == 1


def test_a_reader_goes_on_behind_what_it_saw(say):
    generation = say()
    entries = run(lambda: read_all(generation))
    rest = run(lambda: read_all(generation, after=entries[1].seq))
    assert rest == entries[2:]
    assert run(lambda: read_all(generation, after=entries[-1].seq)) == []


def test_without_readers_the_slot_is_freed_and_the_next_one_has_it_go_on(
    say, node, counting
):
    counting(40, 0.01)
    generation = say()

    async def leave_and_come_back():
        seen = await read_all(generation, until=lambda found: len(found) > 3)
        left = time.monotonic()
        await asyncio.to_thread(node.left.wait, 5)
        freed_s = time.monotonic() - left
        await asyncio.sleep(0.1)
        state = (await Generation.objects.aget(pk=generation.pk)).state
        rest = await read_all(generation, after=seen[-1].seq)
        return seen, freed_s, state, rest

    seen, freed_s, state, rest = run(leave_and_come_back)
    assert freed_s < 1
    assert state == "suspended"
    assert text_of(seen + rest) == numbers(40)
    assert kinds(rest).count("done") == 1
    assert len(node.requests) == 2
    assert len(node.requests[1].answered_ids) > 0


def test_a_reload_is_quicker_than_the_linger(say, node, counting, monkeypatch):
    monkeypatch.setattr(streaming, "LINGER_S", 5)
    counting(30, 0.01)
    generation = say()

    async def reload():
        seen = await read_all(generation, until=lambda found: len(found) > 2)
        return seen + await read_all(generation, after=seen[-1].seq)

    assert text_of(run(reload)) == numbers(30)
    assert len(node.requests) == 1


def test_a_dead_writer_is_taken_over(say, node, counting):
    """Its process was killed: it is silent, and its entries stand."""
    counting(20)
    generation = say()
    claim = log.claim_writing(generation.pk)
    assert claim is not None
    tokens = [{"id": place, "text": f"{place} "} for place in range(7)]
    payload = {"type": "tokens", "tokens": tokens, "text": numbers(7)}
    assert log.append_entry(claim, 1, payload)
    assert log.claim_writing(generation.pk) is None, "it may still be alive"
    Generation.objects.update(beat=Now() - timedelta(seconds=60))
    entries = run(lambda: read_all(generation))
    assert text_of(entries) == numbers(20)
    assert node.requests[0].answered_ids == tuple(range(7))
    # The ghost may write no more.
    assert not log.append_entry(claim, 99, payload)
    assert not log.beat(claim)


def test_without_the_fence_a_ghost_would_write(say, monkeypatch):
    generation = say()
    ghost = log.claim_writing(generation.pk)
    Generation.objects.update(beat=Now() - timedelta(seconds=60))
    heir = log.claim_writing(generation.pk)
    assert ghost is not None
    assert heir is not None
    unfenced = ghost._replace(writer=heir.writer)
    assert log.append_entry(unfenced, 1, {"type": "tokens", "tokens": [], "text": "x"})


def test_a_stop_keeps_exactly_what_was_seen(say, node, counting):
    counting(500, 0.01)
    generation = say()

    async def stop_soon():
        seen = await read_all(generation, until=lambda found: len(found) > 6)
        at = seen[3].seq  # the page had drawn so much
        fresh = await Generation.objects.select_related("created_by").aget(
            pk=generation.pk
        )
        reader = asyncio.create_task(read_all(generation, after=seen[-1].seq))
        freed_ms = await stop(fresh, at)
        return seen, at, freed_ms, await reader

    seen, at, freed_ms, rest = run(stop_soon)
    generation.refresh_from_db()
    assert generation.state == "stopped"
    assert generation.text == text_of([one for one in seen if one.seq <= at])
    assert generation.message.content == generation.text
    assert len(generation.token_ids) == generation.text.count(" ")
    assert kinds(rest)[-1] == "stopped"
    assert kinds(seen + rest).count("stopped") == 1
    assert freed_ms is not None
    num_entries = GenerationEvent.objects.count()
    assert node.left.wait(5)
    assert GenerationEvent.objects.count() == num_entries, "nothing is written after"


def test_a_second_stop_changes_nothing(say):
    generation = say()
    assert log.stop_writing(generation, None)
    assert not log.stop_writing(generation, None)
    assert generation.events.count() == 1
    assert run(lambda: read_all(generation))[-1].payload["type"] == "stopped"


def test_a_node_lost_in_the_middle_ends_with_one_error(say, node):
    node.breaks_after = 3
    generation = say()
    entries = run(lambda: read_all(generation))
    assert kinds(entries)[-1] == "failed"
    assert entries[-1].payload["code"] == "node_lost"
    assert sum(kind in log.LAST for kind in kinds(entries)) == 1
    generation.refresh_from_db()
    assert generation.state == "failed"
    assert generation.text == "Hello there"
    assert "try again" in generation.error


def test_a_model_that_is_gone_is_said_to_be(say, model):
    generation = say()
    model.delete()
    entries = run(lambda: read_all(generation))
    assert kinds(entries) == ["failed"]
    assert entries[0].payload["code"] == "model_not_found"


def test_an_answer_that_is_gone_ends_its_readers(say):
    generation = say()
    pk = generation.pk
    generation.delete()
    generation.pk = pk
    assert run(lambda: read_all(generation)) == []
