"""Threads that answer requests, kept with their connections to the database.

Django gives each request a thread of its own (asgiref). A new one connects, reads the
schema and knows no statement yet, which takes as long as a short request itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

MOST_IDLE = 16
"""Threads kept while nobody asks; PostgreSQL admits a hundred connections in all."""
STREAM = b"text/event-stream"

Send = Callable[[Any], Awaitable[None]]
_idle: list[ThreadPoolExecutor] = []


@asynccontextmanager
async def kept_thread() -> AsyncIterator[ThreadPoolExecutor]:
    """Have all that is not async inside run on one thread that others used before."""
    thread = _idle.pop() if _idle else ThreadPoolExecutor(1, "request")
    try:
        async with ThreadSensitiveContext(executor=thread):
            yield thread
    finally:
        # By the thread itself: it may still be at what a reader who left had asked for.
        thread.submit(_keep, thread)


def _keep(thread: ThreadPoolExecutor) -> None:
    """Keep this very thread for the next request, or end it."""
    if len(_idle) < MOST_IDLE:
        _idle.append(thread)
        return
    connections.close_all()
    thread.shutdown(wait=False)


def without_connection(thread: ThreadPoolExecutor, send: Send) -> Send:
    """Return `send` that closes the thread's connections when a stream begins.

    A stream lasts as long as somebody looks at its page, and reads in other threads.
    """

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start" and any(
            name.lower() == b"content-type" and value.startswith(STREAM)
            for name, value in message["headers"]
        ):
            thread.submit(connections.close_all)
        await send(message)

    return sending
