"""Requests share threads and their connections; one that hangs holds up no other."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from trivium import threads
from trivium.threads import kept_thread, without_connection

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _none_kept() -> Iterator[None]:
    """Begin without a thread, and end all that were kept."""
    end_all()
    yield
    end_all()


def end_all() -> None:
    while threads._idle:
        thread = threads._idle.pop()
        thread.submit(connections.close_all).result()
        thread.shutdown()


async def answer(work: Callable[[], object]) -> object:
    """Do the work of one request, which is not async."""
    async with kept_thread():
        return await sync_to_async(work)()


async def settled(count: int) -> None:
    """Wait until as many threads are kept."""
    async with asyncio.timeout(10):
        while len(threads._idle) != count:  # noqa: ASYNC110 - threads set no asyncio event
            await asyncio.sleep(0.01)


def connected() -> tuple[int, object]:
    """Return the thread and its connection to the database."""
    connection.ensure_connection()
    return threading.get_ident(), connection.connection


def test_the_next_request_has_the_thread_and_its_connection():
    async def two() -> list[object]:
        first = await answer(connected)
        await settled(1)
        return [first, await answer(connected)]

    first, second = asyncio.run(two())
    assert first == second


def test_requests_at_once_have_threads_of_their_own():
    barrier = threading.Barrier(3, timeout=10)

    async def three() -> set[object]:
        def meet() -> int:
            barrier.wait()
            return threading.get_ident()

        found = set(await asyncio.gather(*(answer(meet) for _ in range(3))))
        await settled(3)
        return found

    assert len(asyncio.run(three())) == 3


def test_a_thread_still_at_work_is_not_given_to_the_next_request():
    begun, end = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        end.wait(30)

    async def leave_and_ask() -> object:
        hanging = asyncio.create_task(answer(hang))
        await asyncio.to_thread(begun.wait, 10)
        hanging.cancel()  # as Django does when the reader has gone
        await asyncio.wait([hanging])
        try:
            return await asyncio.wait_for(answer(threading.get_ident), 10)
        finally:
            end.set()
            await settled(2)

    assert asyncio.run(leave_and_ask())


def test_no_more_threads_are_kept_than_may_be(monkeypatch):
    monkeypatch.setattr(threads, "MOST_IDLE", 2)
    barrier = threading.Barrier(5, timeout=10)
    used: list[threading.Thread] = []

    def meet() -> None:
        used.append(threading.current_thread())
        connection.ensure_connection()
        barrier.wait()

    async def five() -> None:
        await asyncio.gather(*(answer(meet) for _ in range(5)))
        await settled(2)

    asyncio.run(five())
    deadline = threading.Event()
    for _ in range(500):
        if sum(thread.is_alive() for thread in used) == 2:
            break
        deadline.wait(0.01)
    assert sum(thread.is_alive() for thread in used) == 2
    assert len(threads._idle) == 2


@pytest.mark.parametrize(
    ("kind", "is_kept"),
    [(b"text/html; charset=utf-8", True), (b"text/event-stream", False)],
)
def test_a_stream_gives_its_connection_back_when_it_begins(kind, is_kept):
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def begin() -> bool:
        async with kept_thread() as thread:
            await sync_to_async(connected)()
            start = {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"Content-Type", kind)],
            }
            await without_connection(thread, send)(start)
            return await sync_to_async(lambda: connection.connection is not None)()

    assert asyncio.run(begin()) is is_kept
    assert [one["type"] for one in sent] == ["http.response.start"]
