"""What a node answers over HTTP (`runspec.serving` says how)."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError
from runspec.serving import (
    NODE_KEY_HEADER,
    Cancelled,
    CancelRequest,
    Candidate,
    Embedded,
    EmbedRequest,
    ErrorEvent,
    Filled,
    FillRequest,
    GenerateRequest,
    LoadRequest,
    ModelFacts,
    NextRequest,
    NextTokens,
    NodeState,
    Prompt,
    Rendered,
    RenderRequest,
    Sampling,
    Scored,
    ScoreRequest,
    TokensEvent,
    Wire,
)
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inference.answering import Answer, too_long
from inference.encoder import BATCH
from inference.engine import Engine
from inference.errors import RefusedError, refused
from inference.registry import Registry
from inference.served import Served

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 2**20
MAX_WAITING = 256
"""Answers that wait for a slot; more are refused at once, so that none waits long."""

Asked = TypeVar("Asked", bound=Wire)


@dataclass
class Node:
    """All that a node's calls need."""

    engine: Engine
    registry: Registry
    device_name: str
    max_waiting: int = MAX_WAITING
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def num_waiting(self) -> int:
        """Answers that have no slot yet, those of models being loaded included."""
        return sum(answer.num_waiting for answer in self.answers.values())

    def state(self) -> NodeState:
        """Return what the node announces of itself."""
        models = tuple(one.told() for one in self.registry.served.values())
        return NodeState(
            engine=self.registry.engine_name,
            device=self.registry.device,
            device_name=self.device_name,
            memory_budget_bytes=self.registry.memory_bytes,
            models=models,
            num_running=sum(one.num_running for one in models),
            num_waiting=self.num_waiting,
            num_slots=sum(one.num_slots for one in self.registry.served.values()),
        )

    @contextmanager
    def admitted(self, request: GenerateRequest) -> Iterator[Answer]:
        """Yield a new answer, known by its id while it is made.

        Raises:
            RefusedError: too many wait, or the request contradicts itself.
        """
        if request.id in self.answers:
            raise RefusedError(
                409, "duplicate_id", f"the request {request.id!r} runs already", "id"
            )
        if request.answered_ids and request.n > 1:
            raise RefusedError(
                400, "invalid_request", "answered_ids go with n = 1", "answered_ids"
            )
        if self.num_waiting + request.n > self.max_waiting:
            raise RefusedError(
                503,
                "overloaded",
                f"{self.num_waiting} answers wait already, and at most "
                f"{self.max_waiting} may",
            )
        answer = Answer(request, self.engine)
        self.answers[request.id] = answer
        try:
            yield answer
        finally:
            answer.close()
            del self.answers[request.id]


# Calls that answer with one object ------------------------------------------


async def state(node: Node, _request: Request) -> NodeState:
    """Say what the node is and does; not well where nothing computes any more."""
    if not node.engine.is_alive:
        raise RefusedError(500, "engine_died", "the engine's thread has ended")
    return node.state()


async def load(node: Node, request: Request) -> ModelFacts:
    """Get a model ready."""
    asked = await read(request, LoadRequest)
    async with node.registry.use(asked.model) as served:
        return served.facts


async def unload(node: Node, request: Request) -> NodeState:
    """Let a model go."""
    asked = await read(request, LoadRequest)
    await node.registry.unload(asked.model)
    return node.state()


async def render(node: Node, request: Request) -> Rendered:
    """Say what a prompt would look like."""
    asked = await read(request, RenderRequest)
    async with node.registry.use(asked.model) as served:
        return await asyncio.to_thread(
            served.prompts.render, asked.prompt, served.facts.context
        )


async def cancel(node: Node, request: Request) -> Cancelled:
    """End a request at its next token; answer once its slots are free."""
    asked = await read(request, CancelRequest)
    begun = time.monotonic()
    answer = node.answers.get(asked.id)
    if answer is None:
        return Cancelled(freed_ms=None)
    answer.cancel()
    await answer.freed.wait()
    return Cancelled(freed_ms=max(0.0, (answer.freed_at - begun) * 1000))


async def next_tokens(node: Node, request: Request) -> NextTokens:
    """Say what may come after some tokens."""
    asked = await read(request, NextRequest)
    generate = GenerateRequest(
        id=f"next-{id(request)}",
        model=asked.model,
        prompt=Prompt(ids=asked.ids),
        sampling=Sampling(max_tokens=1, temperature=0, seed=0),
    )
    async with node.registry.use(asked.model) as served:
        if served.facts.architecture != "decoder":
            raise unfit(served, "says no next token after a text")
        generates(served)
        prompt = await asyncio.to_thread(served.prompts.read, generate.prompt)
        with node.admitted(generate) as answer:
            answer.ask(served, prompt, top_logprobs=asked.top, ends=())
            while True:
                event = await answer.next()
                if isinstance(event, TokensEvent):
                    token = event.tokens[0]
                    await answer.freed.wait()
                    return NextTokens(
                        candidates=tuple(
                            Candidate(id=one, text=text, logprob=logprob)
                            for one, text, logprob in token.top
                        ),
                        entropy=token.entropy,
                    )
                if isinstance(event, ErrorEvent):
                    raise RefusedError(event.status, event.code, event.message)


async def fill(node: Node, request: Request) -> Filled:
    """Fill the masks of a text."""
    asked = await read(request, FillRequest)
    async with node.registry.use(asked.model) as served:
        filler = served.filler
        if filler is None:
            raise unfit(served, "fills no masks")
        ids = await read_text(served, asked.text)
        return await compute(node, lambda: filler.fill(asked, ids))


async def embed(node: Node, request: Request) -> Embedded:
    """Turn texts into vectors, some at a time, so that streams go on."""
    asked = await read(request, EmbedRequest)
    async with node.registry.use(asked.model) as served:
        embedder = served.embedder
        if embedder is None:
            raise unfit(served, "makes no embeddings")
        rows = [await read_text(served, text) for text in asked.texts]
        vectors: list[tuple[float, ...]] = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            vectors += await compute(node, lambda batch=batch: embedder.embed(batch))  # type: ignore[misc]
        return Embedded(vectors=tuple(vectors), num_tokens=sum(map(len, rows)))


async def score(node: Node, request: Request) -> Scored:
    """Ask a classification head about prompts."""
    asked = await read(request, ScoreRequest)
    async with node.registry.use(asked.model) as served:
        scorer = served.scorer
        if scorer is None:
            raise unfit(served, "gives no scores")
        rows = []
        for prompt in asked.prompts:
            found = await asyncio.to_thread(
                served.prompts.read, prompt, as_question=False
            )
            rows.append(fitting(served, found.ids))
        scores = [
            await compute(node, lambda ids=ids: scorer.score(ids))  # type: ignore[misc]
            for ids in rows
        ]
        return Scored(scores=tuple(scores), labels=served.facts.labels)


async def read_text(served: Served, text: str) -> list[int]:
    """Return the ids of a text that the model can see whole."""
    found = await asyncio.to_thread(served.prompts.read_text, text)
    return fitting(served, found.ids)


def fitting(served: Served, ids: list[int]) -> list[int]:
    """Return the ids, which the model can see.

    Raises:
        RefusedError: there are more.
    """
    if len(ids) > served.facts.context:
        raise too_long(len(ids), served.facts.context)
    return ids


Result = TypeVar("Result")


async def compute(node: Node, work: Callable[[], Result]) -> Result:
    """Do something on the engine's thread, between two steps of the streams."""
    return await asyncio.wrap_future(node.engine.call(work))


def generates(served: Served) -> None:
    """Refuse where a model writes nothing."""
    if served.runner is None:
        raise unfit(served, "writes no text")


def unfit(served: Served, what: str) -> RefusedError:
    """Say that a model is of another kind."""
    kind = "with a score head" if served.scorer else served.facts.architecture
    return RefusedError(
        400,
        "model_not_suitable",
        f"{served.facts.key} is a model of the kind {kind}: it {what}",
        "model",
    )


# The stream -----------------------------------------------------------------


class Generation(Response):
    """An answer as JSON lines, or a refusal where nothing was sent yet.

    Whoever goes away cancels what was asked, whether it streams, waits or loads.
    """

    def __init__(self, node: Node, request: GenerateRequest) -> None:
        self.node = node
        self.request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            with self.node.admitted(self.request) as answer:
                watching = asyncio.create_task(cancel_when_gone(answer, receive))
                try:
                    await self._stream(answer, send)
                finally:
                    watching.cancel()
        except RefusedError as error:
            await refusal(error.event)(scope, receive, send)

    async def _stream(self, answer: Answer, send: Send) -> None:
        """Send each event of an answer.

        Raises:
            RefusedError: something is wrong before the first event.
        """
        async with self.node.registry.use(self.request.model) as served:
            generates(served)
            read = await asyncio.to_thread(served.prompts.read, self.request.prompt)
            answer.ask(served, read)
            try:
                event = await answer.next()
                if isinstance(event, ErrorEvent):
                    raise RefusedError(
                        event.status, event.code, event.message, event.param
                    )
                await send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": [(b"content-type", b"application/x-ndjson")],
                    }
                )
                while True:
                    line = event.model_dump_json().encode() + b"\n"
                    is_last = event.type in {"end", "error"}
                    await send(
                        {
                            "type": "http.response.body",
                            "body": line,
                            "more_body": not is_last,
                        }
                    )
                    if is_last:
                        break
                    event = await answer.next()
            finally:
                # The model stays until no slot is used any more.
                if not answer.freed.is_set():
                    answer.cancel()
                    await answer.freed.wait()


async def cancel_when_gone(answer: Answer, receive: Receive) -> None:
    """Wait until the asker leaves, and cancel."""
    while (await receive())["type"] != "http.disconnect":
        pass
    answer.cancel()


# Around the calls -----------------------------------------------------------


async def read(request: Request, kind: type[Asked]) -> Asked:
    """Return the body of a request.

    Raises:
        RefusedError: it is not what the call takes.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(
                413, "request_too_large", f"more than {MAX_BODY_BYTES:,} bytes"
            )
    try:
        return kind.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(map(str, first["loc"])) or None
        raise RefusedError(
            400, "invalid_request", f"{param or 'body'}: {first['msg']}", param
        ) from error


def refusal(event: ErrorEvent) -> Response:
    """Return a refusal as HTTP has it."""
    headers = {"Retry-After": "1"} if event.status == 503 else None
    return Response(
        event.model_dump_json(),
        status_code=event.status,
        media_type="application/json",
        headers=headers,
    )


Call = Callable[[Node, Request], Awaitable[Wire | Response]]


def endpoint(node: Node, call: Call) -> Callable[[Request], Awaitable[Response]]:
    """Return a call as Starlette takes it: objects become JSON, refusals statuses."""

    async def answer(request: Request) -> Response:
        try:
            found = await call(node, request)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            failure = refused(error)
            if failure is not error:
                logger.exception("%s failed", request.url.path)
            return refusal(failure.event)
        if isinstance(found, Response):
            return found
        return Response(found.model_dump_json(), media_type="application/json")

    return answer


async def generate(node: Node, request: Request) -> Response:
    """Stream an answer."""
    return Generation(node, await read(request, GenerateRequest))


class KeyGuard:
    """Lets only those in who know the node's key: the web processes."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self.key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse before a byte of the body is read."""
        if scope["type"] == "http":
            name = NODE_KEY_HEADER.lower().encode()
            given = dict(scope["headers"]).get(name, b"")
            if not hmac.compare_digest(given, self.key):
                event = ErrorEvent(
                    status=401, code="invalid_node_key", message="the node key is wrong"
                )
                await refusal(event)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def application(node: Node, *, key: str, ready: Callable[[], None]) -> ASGIApp:
    """Return the application; `ready` is called once it serves."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        node.engine.start()
        ready()
        try:
            yield
        finally:
            await asyncio.to_thread(node.engine.stop)
            node.registry.templates.close()

    calls: list[tuple[str, str, Call]] = [
        ("GET", "/state", state),
        ("POST", "/load", load),
        ("POST", "/unload", unload),
        ("POST", "/render", render),
        ("POST", "/generate", generate),
        ("POST", "/cancel", cancel),
        ("POST", "/next", next_tokens),
        ("POST", "/fill", fill),
        ("POST", "/embed", embed),
        ("POST", "/score", score),
    ]
    routes = [
        Route(path, endpoint(node, call), methods=[method])
        for method, path, call in calls
    ]
    return KeyGuard(Starlette(routes=routes, lifespan=lifespan), key)
