"""What a node answers over HTTP (`runspec.serving` says how)."""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import ValidationError
from runspec.serving import (
    NODE_KEY_HEADER,
    CancelRequest,
    EmbedRequest,
    ErrorEvent,
    FillRequest,
    GenerateRequest,
    LoadRequest,
    NextRequest,
    RenderRequest,
    ScoreRequest,
    Wire,
)
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inference import calls
from inference.answering import Answer, Event
from inference.errors import RefusedError, refused
from inference.node import Node

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 2**20

Asked = TypeVar("Asked", bound=Wire)


class Generation(Response):
    """An answer as JSON lines, or a refusal where nothing was sent yet.

    Whoever goes away cancels what was asked, whether it streams, waits or loads.
    """

    def __init__(self, node: Node, request: GenerateRequest) -> None:
        self.node = node
        self.request = request
        self.has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            with self.node.admitted(self.request) as answer:
                watching = asyncio.create_task(cancel_when_gone(answer, receive))
                try:
                    await self._stream(answer, send)
                finally:
                    watching.cancel()
        except Exception as error:
            failure = refused(error)
            if failure is not error:
                logger.exception("The request %s failed", self.request.id)
            if self.has_begun:
                await self._send(failure.event, send)
            else:
                await refusal(failure.event)(scope, receive, send)

    async def _stream(self, answer: Answer, send: Send) -> None:
        """Send each event of an answer.

        Raises:
            RefusedError: something is wrong before the first event.
        """
        async with self.node.registry.use(self.request.model) as served:
            calls.generates(served)
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
                self.has_begun = True
                while not await self._send(event, send):
                    event = await answer.next()
            finally:
                # The model stays until no slot is used any more.
                if not answer.freed.is_set():
                    answer.cancel()
                    await answer.freed.wait()

    async def _send(self, event: Event, send: Send) -> bool:
        """Send one line; return whether it was the last."""
        is_last = event.type in {"end", "error"}
        await send(
            {
                "type": "http.response.body",
                "body": event.model_dump_json().encode() + b"\n",
                "more_body": not is_last,
            }
        )
        return is_last


async def cancel_when_gone(answer: Answer, receive: Receive) -> None:
    """Wait until the asker leaves, and cancel."""
    while (await receive())["type"] != "http.disconnect":
        pass
    answer.cancel()


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


Call = Callable[..., Awaitable[Wire | Response]]


def endpoint(
    node: Node, call: Call, kind: type[Wire] | None
) -> Callable[[Request], Awaitable[Response]]:
    """Return a call as Starlette takes it: objects become JSON, refusals statuses.

    `kind` is what its body is read as, where it has one.
    """

    async def answer(request: Request) -> Response:
        try:
            asked = [] if kind is None else [await read(request, kind)]
            found = await call(node, *asked)
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


async def generate(node: Node, asked: GenerateRequest) -> Response:
    """Stream an answer."""
    return Generation(node, asked)


CALLS: tuple[tuple[str, Call, type[Wire] | None], ...] = (
    ("/state", calls.state, None),
    ("/load", calls.load, LoadRequest),
    ("/unload", calls.unload, LoadRequest),
    ("/render", calls.render, RenderRequest),
    ("/generate", generate, GenerateRequest),
    ("/cancel", calls.cancel, CancelRequest),
    ("/next", calls.next_tokens, NextRequest),
    ("/fill", calls.fill, FillRequest),
    ("/embed", calls.embed, EmbedRequest),
    ("/score", calls.score, ScoreRequest),
)


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

    routes = [
        Route(path, endpoint(node, call, kind), methods=["POST" if kind else "GET"])
        for path, call, kind in CALLS
    ]
    return KeyGuard(Starlette(routes=routes, lifespan=lifespan), key)
