"""From what nodes say to what a client receives, in order and with one end."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from runspec.serving import ErrorEvent, StreamEvent, TokensEvent

from trivium.openai.errors import ApiError, from_event
from trivium.openai.limits import end_call, is_renewal_due, renew_call
from trivium.openai.models import ApiCall
from trivium.openai.shapes import Shaper
from trivium.serving.client import in_thread

logger = logging.getLogger(__name__)

DONE = "data: [DONE]\n\n"
AHEAD = 64
"""Events of one prompt that may wait for a slow reader."""
Numbered = tuple[int, StreamEvent]


async def merged(
    streams: Sequence[AsyncGenerator[StreamEvent, None]],
) -> AsyncGenerator[Numbered, None]:
    """Yield the events of all streams as they come, each with its stream's number."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for event in only:
                yield 0, event
        return
    queue: asyncio.Queue[Numbered | None] = asyncio.Queue(AHEAD)

    async def pump(number: int, stream: AsyncGenerator[StreamEvent, None]) -> None:
        async with aclosing(stream):
            async for event in stream:
                await queue.put((number, event))
        await queue.put(None)

    tasks = [asyncio.create_task(pump(*one)) for one in enumerate(streams)]
    try:
        num_left = len(tasks)
        while num_left:
            item = await queue.get()
            if item is None:
                num_left -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def first_of(events: AsyncGenerator[Numbered, None]) -> Numbered:
    """Return the first event, so that a refusal still gets a status of its own.

    Raises:
        ApiError: it is a refusal.
    """
    number, event = await anext(events)
    if isinstance(event, ErrorEvent):
        raise from_event(event)
    return number, event


async def whole_answer(
    events: AsyncGenerator[Numbered, None], shaper: Shaper
) -> dict[str, Any]:
    """Return the answer once it is complete.

    Raises:
        ApiError: something went wrong on the way; what there was is not told.
    """
    async for number, event in events:
        if isinstance(event, ErrorEvent):
            raise from_event(event)
        shaper.take(number, event)
    return shaper.whole()


async def answer_chunks(
    first: Numbered,
    events: AsyncGenerator[Numbered, None],
    shaper: Shaper,
    call: ApiCall,
    *,
    has_usage: bool,
) -> AsyncGenerator[str, None]:
    """Yield server-sent events; the last one is `[DONE]` or an error, always.

    Whoever leaves early closes it: the node stops, and what was told is counted.
    """
    num_told = 0
    try:
        async with aclosing(events):
            for body in shaper.take(*first):
                yield sse(body)
            async for number, event in events:
                if isinstance(event, ErrorEvent):
                    yield sse(from_event(event).body())
                    return
                for body in shaper.take(number, event):
                    yield sse(body)
                if isinstance(event, TokensEvent):
                    num_told += len(event.tokens)
                if is_renewal_due(call):
                    await in_thread(renew_call)(call)
        if has_usage:
            yield sse(shaper.usage_chunk())
        yield DONE
    except Exception:
        logger.exception("A stream failed")
        yield sse(ApiError(500, "something went wrong here; the log says what").body())
    finally:
        await in_thread(end_call)(call, tokens=max(shaper.usage.total, num_told))


def sse(body: dict[str, Any]) -> str:
    """Write one server-sent event."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n"
