"""What happens to answers whose readers leave, or are too quick."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from django.urls import reverse
from fake_node import end, receipt, token
from playground_lab import numbers
from runspec.serving import (
    FinishEvent,
    GenerateRequest,
    PromptEvent,
    StreamEvent,
    TokensEvent,
)
from trivium.playground import log, services, streaming
from trivium.playground.models import Generation
from trivium.playground.views_stream import stop
from trivium.serving import client
from trivium.serving.choices import ModelChoice, of_endpoint
from trivium.serving.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

LENGTH = 20


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(streaming, "LINGER_S", 0.05)
    monkeypatch.setattr(streaming, "POLL_S", 0.01)


@pytest.fixture
def elsewhere(db) -> ModelChoice:
    """A model of a server that is somebody else's."""
    endpoint = Endpoint.objects.create(
        name="gpu-1", url="http://127.0.0.1:9/v1", model_ids=["llama"]
    )
    return of_endpoint(endpoint, "llama")


@pytest.fixture
def closed(monkeypatch) -> list[str]:
    """Have that server count slowly; the ids of requests that were broken off."""
    broken: list[str] = []

    async def generate(
        _choice: ModelChoice, request: GenerateRequest
    ) -> AsyncGenerator[StreamEvent, None]:
        try:
            yield PromptEvent(receipt=receipt(request))
            for place in range(LENGTH):
                told = token(place, f"{place} ", top=0)
                yield TokensEvent(index=0, tokens=(told,), text=told.text)
                await asyncio.sleep(0.02)
        except (GeneratorExit, asyncio.CancelledError):
            broken.append(request.id)
            raise
        yield FinishEvent(index=0, reason="stop")
        yield end(request, LENGTH)

    monkeypatch.setattr(client, "generate", generate)
    return broken


async def read_some(generation: Generation) -> None:
    reading = streaming.read(generation.pk, 0)
    async for entry in reading:
        if entry is not None and entry.payload["type"] == "tokens":
            break
    await reading.aclose()


def test_an_answer_from_elsewhere_is_finished_without_readers(
    talk, vera, elsewhere, closed
):
    """No other server can go on in the middle of an answer."""
    generation = services.send_message(
        talk, sender=vera, choice=elsewhere, content="Hello", parent=None
    )

    async def leave():
        await read_some(generation)
        for _ in range(200):
            found = await Generation.objects.aget(pk=generation.pk)
            if found.is_over:
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(leave(), 20))
    generation.refresh_from_db()
    assert (generation.state, generation.finish_reason) == ("done", "stop")
    assert generation.text == numbers(LENGTH)
    assert closed == []
    assert streaming._live == {}


def test_it_is_stopped_on_request_though_nobody_reads(talk, vera, elsewhere, closed):
    generation = services.send_message(
        talk, sender=vera, choice=elsewhere, content="Hello", parent=None
    )

    async def leave_and_stop():
        await read_some(generation)
        await asyncio.sleep(0.1)
        fresh = await Generation.objects.select_related("created_by").aget(
            pk=generation.pk
        )
        await stop(fresh, None)
        await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(leave_and_stop(), 20))
    generation.refresh_from_db()
    assert generation.state == "stopped"
    assert 0 < len(generation.token_ids) < LENGTH
    assert len(closed) == 1
    assert streaming._live == {}


def test_nothing_is_said_behind_an_answer_that_is_not_there_yet(say, talk):
    say()
    with pytest.raises(services.StillAnsweringError):
        say("And then?")
    assert talk.messages.count() == 2


def test_after_a_stop_one_may_go_on_talking(say, talk):
    log.stop_writing(say(), None)
    say("And then?")
    assert talk.messages.count() == 4


def test_the_page_says_that_an_answer_is_still_written(client, vera, say, talk, choice):
    say()
    client.force_login(vera)
    refused = client.post(
        reverse("playground:send", args=[talk.project.slug, talk.pk]),
        {"choice": choice.id, "content": "And then?"},
    )
    assert refused.status_code == 422
    assert "still answering" in refused.text
    assert "And then?" in refused.text
    assert talk.messages.count() == 2
