"""Asking a model, wherever it runs: a node of ours, or an endpoint.

Answers come as `runspec.serving` has them. `generate` never raises what went wrong on
the way: every stream ends with exactly one terminal event. Closing the generator
closes the connection, and with it frees the slot on the node.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal, ParamSpec, TypeVar, overload

import httpx
from asgiref.sync import async_to_sync, sync_to_async
from django.db import close_old_connections
from pydantic import ValidationError
from runspec.serving import (
    NODE_KEY_HEADER,
    Cancelled,
    CancelRequest,
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
    Rendered,
    RenderRequest,
    Scored,
    ScoreRequest,
    StreamEvent,
    Wire,
    parse_event,
)

from trivium.serving import endpoints
from trivium.serving.choices import ModelChoice
from trivium.serving.errors import ServingError, refusal
from trivium.serving.keys import node_key
from trivium.serving.models import Node
from trivium.serving.routing import choose_node, live_nodes

logger = logging.getLogger(__name__)

CONNECT_S = 3.0
SILENCE_S = 600.0
"""A node that says nothing for this long is lost; loading a large model takes long."""
MOST_TRIED = 2
"""Nodes asked for one request, as long as none has begun to answer."""
TRY_ANOTHER = {"overloaded", "out_of_memory"}
"""Refusals that another node may not share."""

ANSWERS: dict[str, type[Wire]] = {
    "/load": ModelFacts,
    "/render": Rendered,
    "/next": NextTokens,
    "/fill": Filled,
    "/embed": Embedded,
    "/score": Scored,
}

Given = ParamSpec("Given")
Result = TypeVar("Result")


def in_thread(work: Callable[Given, Result]) -> Callable[Given, Any]:
    """Return `work`, which reads the database, as something to await.

    On a thread of the event loop, not on the one of its request: a stream would keep
    that, and what it waits for would wait for its turn there.
    """

    def closing(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        close_old_connections()
        try:
            return work(*args, **kwargs)
        finally:
            close_old_connections()

    return sync_to_async(closing, thread_sensitive=False)


def node_client() -> httpx.AsyncClient:
    """Return a client for one request to a node; nothing of it is kept."""
    return httpx.AsyncClient(
        headers={NODE_KEY_HEADER: node_key()},
        timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
        trust_env=False,
        verify=False,  # noqa: S501 - nodes speak plain HTTP, and certificates are slow to read
    )


async def generate(
    choice: ModelChoice, request: GenerateRequest
) -> AsyncGenerator[StreamEvent, None]:
    """Yield what a model answers, and last an `EndEvent` or an `ErrorEvent`."""
    if choice.endpoint is not None:
        events = endpoints.generate(choice, request)
    else:
        events = _generate_on_nodes(request)
    async with aclosing(events):
        async for event in events:
            yield event


async def _generate_on_nodes(
    request: GenerateRequest,
) -> AsyncGenerator[StreamEvent, None]:
    """Ask one node, and one more where the first cannot be reached or is full."""
    tried: list[str] = []
    refused: ErrorEvent | None = None
    while len(tried) < MOST_TRIED:
        try:
            node = await in_thread(choose_node)(request.model, avoid=tried)
        except ServingError as error:
            yield refused or error.event
            return
        tried.append(node.name)
        events = _stream(node, request)
        async with aclosing(events):
            first = await anext(events)
            if isinstance(first, ErrorEvent) and may_try_another(first):
                refused = first
                continue
            yield first
            async for event in events:
                yield event
            return
    assert refused is not None
    yield refused


def may_try_another(event: ErrorEvent) -> bool:
    """Whether a refusal before the first token is that of one node alone."""
    return event.code == "node_unreachable" or event.code in TRY_ANOTHER


async def _stream(
    node: Node, request: GenerateRequest
) -> AsyncGenerator[StreamEvent, None]:
    """Yield what one node says; an error of ours where it breaks off."""
    has_begun = False
    try:
        async with (
            node_client() as client,
            client.stream(
                "POST",
                f"{node.url}/generate",
                content=request.model_dump_json(),
                headers={"Content-Type": "application/json"},
            ) as response,
        ):
            if response.status_code != 200:
                yield told_in(response.status_code, await response.aread())
                return
            async for line in response.aiter_lines():
                event = parse_event.validate_json(line)
                has_begun = True
                yield event
                if event.type in {"end", "error"}:
                    return
    except (httpx.HTTPError, ValidationError) as error:
        logger.warning("Node %s: %s: %r", node.name, request.id, error)
    if has_begun:
        yield lost()
    else:
        yield unreachable(node)


def told_in(status: int, body: bytes) -> ErrorEvent:
    """Return the refusal a node sent, or one of ours where it is none."""
    try:
        event = parse_event.validate_json(body)
    except ValidationError:
        event = None
    if isinstance(event, ErrorEvent):
        return event
    return ErrorEvent(
        status=502,
        code="node_failed",
        message=f"the inference node answered with status {status} and no reason",
    )


def lost() -> ErrorEvent:
    """Say that a node went away in the middle of an answer."""
    return ErrorEvent(
        status=502,
        code="node_lost",
        message="the inference node was lost in the middle of this answer; try again",
    )


def unreachable(node: Node) -> ErrorEvent:
    """Say that a node does not answer at all."""
    return ErrorEvent(
        status=503,
        code="node_unreachable",
        message=f"the inference node {node.name} does not answer; try again",
    )


async def cancel(choice: ModelChoice, request_id: str) -> Cancelled:
    """End a request at its next token; tell when its slot was free.

    Closing the generator does the same; this waits until it is done.
    """
    if choice.endpoint is not None:
        return Cancelled(freed_ms=None)
    nodes: list[Node] = await in_thread(lambda: list(live_nodes()))()
    found = await asyncio.gather(*(_cancel_on(node, request_id) for node in nodes))
    return next(
        (one for one in found if one.freed_ms is not None), Cancelled(freed_ms=None)
    )


async def _cancel_on(node: Node, request_id: str) -> Cancelled:
    try:
        body = await _post(node, "/cancel", CancelRequest(id=request_id))
        return Cancelled.model_validate_json(body)
    except (ServingError, ValidationError):
        return Cancelled(freed_ms=None)


@overload
async def call(
    choice: ModelChoice, path: Literal["/load"], request: LoadRequest
) -> ModelFacts: ...
@overload
async def call(
    choice: ModelChoice, path: Literal["/render"], request: RenderRequest
) -> Rendered: ...
@overload
async def call(
    choice: ModelChoice, path: Literal["/next"], request: NextRequest
) -> NextTokens: ...
@overload
async def call(
    choice: ModelChoice, path: Literal["/fill"], request: FillRequest
) -> Filled: ...
@overload
async def call(
    choice: ModelChoice, path: Literal["/embed"], request: EmbedRequest
) -> Embedded: ...
@overload
async def call(
    choice: ModelChoice, path: Literal["/score"], request: ScoreRequest
) -> Scored: ...


async def call(choice: ModelChoice, path: str, request: Any) -> Any:
    """Ask a model something that one object answers.

    Raises:
        ServingError: it was refused, no node is there, or the one asked was lost.
    """
    if choice.endpoint is not None:
        return await endpoints.call(choice, path, request)
    refused: ServingError | None = None
    tried: list[str] = []
    while len(tried) < MOST_TRIED:
        try:
            node = await in_thread(choose_node)(choice.ref, avoid=tried)
        except ServingError as error:
            raise refused or error from None
        tried.append(node.name)
        try:
            body = await _post(node, path, request)
        except ServingError as error:
            if not may_try_another(error.event):
                raise
            refused = error
        else:
            return ANSWERS[path].model_validate_json(body)
    assert refused is not None
    raise refused


call_sync = async_to_sync(call)
"""`call` for views that are not async."""
cancel_sync = async_to_sync(cancel)


async def _post(node: Node, path: str, request: Wire) -> bytes:
    try:
        async with node_client() as client:
            response = await client.post(
                f"{node.url}{path}",
                content=request.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise refusal(unreachable(node)) from error
    except httpx.HTTPError as error:
        logger.warning("Node %s: %s: %r", node.name, path, error)
        raise refusal(lost()) from error
    if response.status_code != 200:
        raise refusal(told_in(response.status_code, response.content))
    return response.content
