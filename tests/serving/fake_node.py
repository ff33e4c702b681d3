"""A node that computes nothing, but speaks the wire over real HTTP."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from runspec.serving import (
    NODE_KEY_HEADER,
    Cancelled,
    CancelRequest,
    Candidate,
    Embedded,
    EmbedRequest,
    EndEvent,
    ErrorEvent,
    Filled,
    FillRequest,
    FinishEvent,
    GenerateRequest,
    LoadedModel,
    ModelFacts,
    NextRequest,
    NextTokens,
    NodeState,
    PromptEvent,
    Receipt,
    Rendered,
    RenderRequest,
    Scored,
    ScoreRequest,
    StreamEvent,
    Timings,
    TokensEvent,
    TokenTold,
    Wire,
)

Script = Callable[[GenerateRequest], AsyncIterator[StreamEvent]]
App = Callable[[Any, Any, Any], Awaitable[None]]


@contextmanager
def serving(app: App) -> Iterator[str]:
    """Serve an ASGI application in a thread; yield its address."""
    config = uvicorn.Config(
        app, port=0, log_level="error", lifespan="off", ws="none", timeout_keep_alive=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.force_exit = server.should_exit = True
        thread.join(20)


def receipt(request: GenerateRequest) -> Receipt:
    text = request.prompt.text
    if text is None and request.prompt.messages:
        text = "".join(f"<{m['role']}>{m['content']}" for m in request.prompt.messages)
    ids = request.prompt.ids or tuple(range(len((text or "").split())))
    return Receipt(
        model_key=request.model.key,
        weights_sha256=request.model.sha256,
        template_sha256="",
        engine="fake 1 cpu fp32",
        rendered=text or "".join(f"[{one}]" for one in ids),
        prompt_ids=ids,
        sampling=request.sampling,
        context=64,
        cached_tokens=2,
        is_exact=True,
    )


def token(number: int, text: str, *, top: int) -> TokenTold:
    others = [(number, text, -0.5), (900, " other", -1.5), (901, "\ufffd", -2.5)]
    return TokenTold(
        id=number,
        text=text,
        bytes=tuple(text.encode()),
        logprob=-0.5,
        entropy=1.25,
        top=tuple(others[:top]),
    )


def end(request: GenerateRequest, count: int) -> EndEvent:
    return EndEvent(
        prompt_tokens=len(receipt(request).prompt_ids),
        completion_tokens=count,
        timings=Timings(queue_s=0, first_token_s=0.1, total_s=0.2, tokens_per_s=10),
    )


class FakeNode:
    """Answers with `words`, unless a test gives it a `script` or a `refusal`."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.words = ["Hello", " there", ",", " wörld", "!"]
        self.script: Script | None = None
        self.refusal: ErrorEvent | None = None
        self.delay_s = 0.0
        self.is_endless = False
        self.breaks_after: int | None = None
        """Events after which the connection is cut."""
        self.models: list[LoadedModel] = []
        self.requests: list[GenerateRequest] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.left_at: dict[str, float] = {}
        """When whoever asked went away, by the request's id."""
        self.left = threading.Event()
        self.num_open = 0
        self.url = ""

    def state(self) -> NodeState:
        return NodeState(
            engine="fake 1",
            device="cpu",
            device_name="A fake",
            memory_budget_bytes=10**9,
            models=tuple(self.models),
            num_running=self.num_open,
            num_waiting=0,
            num_slots=8,
        )

    def has_loaded(self, key: str) -> None:
        self.models.append(
            LoadedModel(facts=facts(key), num_running=0, num_waiting=0, idle_s=1)
        )

    async def __call__(self, scope, receive, send) -> None:
        headers = dict(scope["headers"])
        if headers.get(NODE_KEY_HEADER.lower().encode()) != self.key.encode():
            refusal = ErrorEvent(status=401, code="wrong_key", message="who are you?")
            await self.answer(send, refusal, 401)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["path"]
        self.calls.append((path, json.loads(body) if body else {}))
        if self.refusal is not None:
            await self.answer(send, self.refusal, self.refusal.status)
        elif path == "/generate":
            await self.stream(GenerateRequest.model_validate_json(body), receive, send)
        elif path == "/state":
            await self.answer(send, self.state())
        else:
            await self.answer(send, called(path, body, self))

    async def answer(self, send, told: Wire, status: int = 200) -> None:
        headers = [(b"content-type", b"application/json")]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        body = told.model_dump_json().encode()
        await send({"type": "http.response.body", "body": body})

    async def stream(self, request: GenerateRequest, receive, send) -> None:
        self.requests.append(request)
        self.num_open += 1
        sending = asyncio.create_task(self.send_events(request, send))
        leaving = asyncio.create_task(receive())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                self.left_at[request.id] = time.monotonic()
                self.left.set()
        finally:
            self.num_open -= 1
            for task in (sending, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def send_events(self, request: GenerateRequest, send) -> None:
        headers = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        script = self.script or self.say
        number = 0
        async for event in script(request):
            if self.breaks_after == number:
                break
            number += 1
            line = event.model_dump_json().encode() + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def say(self, request: GenerateRequest) -> AsyncIterator[StreamEvent]:
        yield PromptEvent(receipt=receipt(request))
        count = 0
        most = request.sampling.max_tokens
        reason = "stop"
        for number in range(10**9 if self.is_endless else len(self.words)):
            if most is not None and number >= most:
                reason = "length"
                break
            text = self.words[number % len(self.words)]
            for index in range(request.n):
                told = token(number, text, top=request.top_logprobs)
                yield TokensEvent(index=index, tokens=(told,), text=text)
                count += 1
            await asyncio.sleep(self.delay_s)
        for index in range(request.n):
            yield FinishEvent(index=index, reason=reason)
        yield end(request, count)


def facts(key: str) -> ModelFacts:
    return ModelFacts(
        key=key,
        architecture="decoder",
        runner="fake",
        context=64,
        vocab_size=1000,
        num_parameters=1_240_000,
        dtype="fp32",
        bytes=4_960_000,
        has_template=True,
        has_score_head=False,
    )


def called(path: str, body: bytes, node: FakeNode) -> Wire:
    """Answer what is no stream."""
    return CALLS[path](body, node)


def render(body: bytes, _: FakeNode) -> Rendered:
    text = RenderRequest.model_validate_json(body).prompt.text or ""
    pieces = tuple(text.split())
    return Rendered(
        text=text,
        ids=tuple(range(len(pieces))),
        pieces=pieces,
        message_tokens=(),
        context=64,
        template_sha256="",
    )


def cancel(body: bytes, node: FakeNode) -> Cancelled:
    asked = CancelRequest.model_validate_json(body).id
    known = any(one.id == asked for one in node.requests)
    return Cancelled(freed_ms=1.5 if known else None)


def next_tokens(body: bytes, _: FakeNode) -> NextTokens:
    top = NextRequest.model_validate_json(body).top
    found = [Candidate(id=n, text=f"w{n}", logprob=-n - 0.1) for n in range(5)]
    return NextTokens(candidates=tuple(found[:top]), entropy=1.0)


def fill(body: bytes, _: FakeNode) -> Filled:
    request = FillRequest.model_validate_json(body)
    one = Candidate(id=7, text="time", logprob=-0.1)
    return Filled(masks=((one,),), sequence=request.text, ids=(1, 7, 2))


def embed(body: bytes, _: FakeNode) -> Embedded:
    texts = EmbedRequest.model_validate_json(body).texts
    vectors = tuple((float(len(text)), 0.5, -0.25) for text in texts)
    return Embedded(vectors=vectors, num_tokens=len(texts))


def score(body: bytes, _: FakeNode) -> Scored:
    prompts = ScoreRequest.model_validate_json(body).prompts
    return Scored(scores=tuple((0.75,) for _ in prompts), labels=("LABEL_0",))


CALLS: dict[str, Callable[[bytes, FakeNode], Wire]] = {
    "/load": lambda _, __: facts("model-1"),
    "/render": render,
    "/cancel": cancel,
    "/next": next_tokens,
    "/fill": fill,
    "/embed": embed,
    "/score": score,
}
