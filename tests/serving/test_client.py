"""Asking nodes: the way there, what breaks on it, and that nothing stays behind."""

import asyncio
import time
from contextlib import aclosing

import pytest
from fake_node import end, receipt
from runspec.serving import (
    EmbedRequest,
    ErrorEvent,
    FinishEvent,
    GenerateRequest,
    NextRequest,
    Prompt,
    PromptEvent,
    RenderRequest,
    TokensEvent,
)
from serving_lab import run_async
from trivium.serving import client, services
from trivium.serving.choices import of_model
from trivium.serving.errors import ServingError
from trivium.serving.models import Node


@pytest.fixture
def choice(model):
    return of_model(model)


@pytest.fixture
def ask(choice):
    """Collect what a model answers."""

    def collect(**values):
        request = GenerateRequest(
            **{"id": "r1", "model": choice.ref, "prompt": Prompt(text="Hi you")}
            | values
        )

        async def go():
            return [event async for event in client.generate(choice, request)]

        return run_async(go())

    return collect


def text_of(events) -> str:
    return "".join(e.text for e in events if isinstance(e, TokensEvent | FinishEvent))


def test_an_answer_comes_whole(node, ask):
    events = ask()
    assert isinstance(events[0], PromptEvent)
    assert text_of(events) == "Hello there, wörld!"
    assert [e.type for e in events][-2:] == ["finish", "end"]


def test_a_node_lets_only_those_in_who_have_its_key(node, ask):
    node.key = "another"
    (only,) = ask()
    assert (only.status, only.code) == (401, "wrong_key")


def test_without_a_node_one_is_told_how_to_start_one(transactional_db, ask):
    (only,) = ask()
    assert (only.status, only.code) == (503, "no_node")
    assert "make up" in only.message


def test_a_refusal_of_the_node_is_passed_on(node, ask):
    node.refusal = ErrorEvent(
        status=400, code="context_length_exceeded", message="too long", param="prompt"
    )
    assert ask() == [node.refusal]


def test_a_stream_that_breaks_off_ends_with_an_error(node, ask):
    node.breaks_after = 3
    events = ask()
    assert [e.type for e in events] == ["prompt", "tokens", "tokens", "error"]
    assert (events[-1].status, events[-1].code) == (502, "node_lost")


def test_a_node_that_speaks_nonsense_ends_with_an_error(node, ask):
    class Nonsense:
        def model_dump_json(self) -> str:
            return '{"type": "shrug"}'

    async def script(request):
        yield PromptEvent(receipt=receipt(request))
        yield Nonsense()

    node.script = script
    assert [e.type for e in ask()] == ["prompt", "error"]


def test_another_node_is_asked_where_the_first_is_gone(make_node, ask):
    nodes = [make_node("alive"), make_node("dead")]
    nodes[0].num_open = 7  # busier, so the other one is asked first
    services.beat_node(name="alive", state=nodes[0].state())
    Node.objects.filter(name="dead").update(url="http://127.0.0.1:9")
    assert ask()[-1].type == "end"
    assert len(nodes[0].requests) == 1


def test_another_node_is_asked_where_the_first_is_full(make_node, choice, ask):
    full, free = make_node("full"), make_node("free")
    full.has_loaded(choice.ref.key)  # so it is asked first
    services.beat_node(name="full", state=full.state())
    full.refusal = ErrorEvent(status=503, code="overloaded", message="full")
    assert ask()[-1].type == "end"
    assert [path for path, _ in full.calls] == ["/generate"]
    assert len(free.requests) == 1


def test_where_all_nodes_are_gone_the_error_says_so(node, ask):
    Node.objects.update(url="http://127.0.0.1:9")
    (only,) = ask()
    assert (only.status, only.code) == (503, "node_unreachable")


def test_closing_a_stream_frees_the_node_at_once(node, choice):
    node.is_endless, node.delay_s = True, 0.01
    request = GenerateRequest(id="r", model=choice.ref, prompt=Prompt(text="x"))

    async def go() -> float:
        events = client.generate(choice, request)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TokensEvent):
                    break
        return time.monotonic()

    closed_at = run_async(go())
    assert node.left.wait(5)
    assert node.left_at["r"] - closed_at < 1
    assert node.num_open == 0


def test_a_cancelled_task_frees_the_node(node, choice):
    node.is_endless, node.delay_s = True, 0.01
    request = GenerateRequest(id="r", model=choice.ref, prompt=Prompt(text="x"))

    async def go() -> None:
        async def read() -> None:
            async for _ in client.generate(choice, request):
                begun.set()

        begun = asyncio.Event()
        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_async(go())
    assert node.left.wait(5)


def test_cancelling_tells_when_the_slot_was_free(node, choice, ask):
    ask(id="known")
    assert client.cancel_sync(choice, "known").freed_ms == 1.5
    assert client.cancel_sync(choice, "unknown").freed_ms is None


def test_cancelling_on_a_node_that_is_gone_is_no_error(node, choice):
    Node.objects.update(url="http://127.0.0.1:9")
    assert client.cancel_sync(choice, "any").freed_ms is None


def test_other_calls_answer_with_one_object(node, choice):
    prompt = Prompt(text="one two three")
    request = RenderRequest(model=choice.ref, prompt=prompt)
    rendered = client.call_sync(choice, "/render", request)
    assert rendered.ids == (0, 1, 2)
    asked = NextRequest(model=choice.ref, ids=(1, 2), top=3)
    assert len(client.call_sync(choice, "/next", asked).candidates) == 3
    embed = EmbedRequest(model=choice.ref, texts=("a", "bb"))
    assert client.call_sync(choice, "/embed", embed).vectors[1][0] == 2.0


def test_a_refused_call_raises_what_the_node_said(node, choice):
    node.refusal = ErrorEvent(status=404, code="model_not_found", message="gone")
    embed = EmbedRequest(model=choice.ref, texts=("a",))
    with pytest.raises(ServingError) as caught:
        client.call_sync(choice, "/embed", embed)
    assert caught.value.event == node.refusal


def test_a_call_without_a_reachable_node_says_so(node, choice):
    Node.objects.update(url="http://127.0.0.1:9")
    embed = EmbedRequest(model=choice.ref, texts=("a",))
    with pytest.raises(ServingError, match="does not answer"):
        client.call_sync(choice, "/embed", embed)


def test_the_end_of_a_request_counts_its_tokens(node, ask, choice):
    events = ask(n=2)
    request = GenerateRequest(
        id="r1", model=choice.ref, prompt=Prompt(text="Hi you"), n=2
    )
    assert events[-1] == end(request, 10)
    assert sorted(e.index for e in events if isinstance(e, FinishEvent)) == [0, 1]
