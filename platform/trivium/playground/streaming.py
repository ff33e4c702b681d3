"""Writing an answer's log while somebody reads it.

The process of the first reader writes; readers of other processes look into the log.
When the last reader here has been gone for a moment, writing is suspended and the slot
on the node is free; the next reader has it go on, with the very tokens it would have
had (`inference.sampling`). What endpoints answer is written to its end, since they
cannot go on in the middle. A process that dies is noticed by its silence.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from runspec.serving import (
    EndEvent,
    ErrorEvent,
    FinishEvent,
    GenerateRequest,
    Prompt,
    PromptEvent,
    Sampling,
    StreamEvent,
    TokensEvent,
)

from trivium.playground import log
from trivium.playground.log import Claim, Entry
from trivium.playground.models import Generation
from trivium.serving import choices, client
from trivium.serving.client import in_thread
from trivium.serving.errors import ChoiceNotFoundError

logger = logging.getLogger(__name__)

FLUSH_S = 0.04
LINGER_S = 0.5
"""Without a reader for this long, writing is suspended: reloading a page is quicker."""
POLL_S = 0.1
BEAT_S = 1.0
HEARTBEAT_S = 15.0


@dataclass
class Live:
    """An answer that somebody reads in this process."""

    num_readers: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    """Writes, if this process does."""
    must_finish: bool = False
    """Whether what answers could not go on later, so that nobody breaks it off."""
    leaving: asyncio.TimerHandle | None = None

    def announce(self) -> None:
        """Wake every reader."""
        self.news.set()
        self.news = asyncio.Event()


_live: dict[int, Live] = {}


async def read(generation_id: int, after: int) -> AsyncGenerator[Entry | None, None]:
    """Yield the entries after one, as they come; None is a sign of life.

    Ends with the last entry, or where the generation is gone.
    """
    async with aclosing(read_batches(generation_id, after)) as batches:
        async for batch in batches:
            if not batch:
                yield None
            for entry in batch:
                yield entry


async def read_batches(
    generation_id: int, after: int
) -> AsyncGenerator[list[Entry], None]:
    """Yield what `read` does, together what there was; nothing is a sign of life."""
    live = _live.setdefault(generation_id, Live())
    live.num_readers += 1
    if live.leaving:
        live.leaving.cancel()
        live.leaving = None
    said_at = time.monotonic()
    is_over = False
    try:
        while True:
            news = live.news
            entries = await in_thread(log.entries_after)(generation_id, after)
            if entries:
                after, said_at = entries[-1].seq, time.monotonic()
                yield entries
                if entries[-1].is_last:
                    return
            if is_over:  # its last entry was seen before
                return
            if live.task is None or live.task.done():
                claim = await in_thread(log.claim_writing)(generation_id)
                if claim is not None:
                    live.task = asyncio.create_task(_write(claim, live))
                elif await in_thread(_is_over)(generation_id):
                    is_over = True
                    continue
            if time.monotonic() - said_at > HEARTBEAT_S:
                said_at = time.monotonic()
                yield []
            is_ours = live.task is not None and not live.task.done()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S if is_ours else POLL_S):
                    await news.wait()
    finally:
        _leave(generation_id, live)


def _is_over(generation_id: int) -> bool:
    """Whether nobody will write any more, or there is nothing to write to."""
    found = Generation.objects.filter(pk=generation_id)
    return not found.exclude(state__in=Generation.OVER).exists()


def _leave(generation_id: int, live: Live) -> None:
    live.num_readers -= 1
    if live.num_readers:
        return

    def let_go() -> None:
        if live.num_readers:
            return
        if live.must_finish and live.task is not None and not live.task.done():
            live.task.add_done_callback(lambda _: let_go())
            return
        if _live.get(generation_id) is live:
            del _live[generation_id]
        if live.task is not None:
            live.task.cancel()

    live.leaving = asyncio.get_running_loop().call_later(LINGER_S, let_go)


async def halt(generation_id: int) -> None:
    """End writing in this process, if it is done here: the answer was stopped."""
    live = _live.get(generation_id)
    if live is None or live.task is None:
        return
    live.task.cancel()
    with suppress(asyncio.CancelledError):
        await live.task
    live.announce()


async def _write(claim: Claim, live: Live) -> None:
    """Ask the model and write down what it says."""
    writing = Writing(claim, live)
    try:
        await writing.run()
    except asyncio.CancelledError:
        await asyncio.shield(writing.let_go())
        raise
    except Exception:
        logger.exception("Generation %s could not be written", claim.generation.pk)
        await writing.end(
            {
                "type": "failed",
                "code": "internal_error",
                "message": "Something went wrong here; the log of the web names it.",
            }
        )
    finally:
        live.announce()


class Writing:
    """One go at writing an answer."""

    def __init__(self, claim: Claim, live: Live) -> None:
        """Begin where the log ends."""
        self.claim = claim
        self.live = live
        self.seq = claim.last_seq
        self.tokens: list[dict[str, Any]] = []
        self.text = ""
        self.flushed_at = 0.0
        self.finish: FinishEvent | None = None
        self.can_go_on = True

    async def let_go(self) -> None:
        """Stop writing, because nobody reads any more.

        Servers of others cannot go on in the middle: where this process ends before
        their answer does, it ends with it.
        """
        if self.can_go_on:
            await in_thread(log.suspend)(self.claim)
        else:
            await in_thread(log.stop_writing)(self.claim.generation, None)

    async def run(self) -> None:
        """Write until the answer is over, or somebody else writes it."""
        generation = self.claim.generation
        try:
            choice = await in_thread(_choice)(generation)
        except ChoiceNotFoundError as error:
            await self.end(
                {"type": "failed", "code": "model_not_found", "message": str(error)}
            )
            return
        self.can_go_on = choice.endpoint is None
        self.live.must_finish = not self.can_go_on
        request = request_of(self.claim, choice)
        events = client.generate(choice, request)
        async with aclosing(events):
            iterator = aiter(events)
            coming: asyncio.Task[StreamEvent] | None = None
            try:
                while True:
                    coming = coming or asyncio.ensure_future(anext(iterator))
                    done, _ = await asyncio.wait({coming}, timeout=self.patience())
                    if not done:
                        if not await self.flush_or_beat():
                            return
                        continue
                    event, coming = coming.result(), None
                    if not await self.take(event):
                        return
            finally:
                if coming is not None:
                    coming.cancel()
                    with suppress(asyncio.CancelledError, StopAsyncIteration):
                        await coming

    def patience(self) -> float:
        """Return for how long to wait for more before what is there is written."""
        if not self.tokens and not self.text:
            return BEAT_S
        return max(0.0, self.flushed_at + FLUSH_S - time.monotonic())

    async def take(self, event: StreamEvent) -> bool:
        """Take one event of the model; False where writing is over."""
        match event:
            case PromptEvent():
                receipt = event.receipt.model_dump(mode="json")
                return await self.append({"type": "start", "receipt": receipt})
            case TokensEvent():
                self.tokens += [one.model_dump(mode="json") for one in event.tokens]
                self.text += event.text
                if time.monotonic() - self.flushed_at >= FLUSH_S:
                    return await self.flush()
                return True
            case FinishEvent():
                self.finish = event
                self.text += event.text
                return True
            case EndEvent():
                finish = self.finish
                await self.flush()
                await self.end(
                    {
                        "type": "done",
                        "reason": finish.reason if finish else "stop",
                        "stop": finish.stop if finish else "",
                        "timings": event.timings.model_dump(mode="json"),
                    }
                )
                return False
            case ErrorEvent():
                await self.flush()
                await self.end(
                    {"type": "failed", "code": event.code, "message": event.message}
                )
                return False

    async def flush_or_beat(self) -> bool:
        """Write what is there, or that the writer is; False where it shall not."""
        if self.tokens or self.text:
            return await self.flush()
        return bool(await in_thread(log.beat)(self.claim))

    async def flush(self) -> bool:
        """Write the tokens that came since."""
        if not self.tokens and not self.text:
            return True
        payload = {"type": "tokens", "tokens": self.tokens, "text": self.text}
        self.tokens, self.text = [], ""
        self.flushed_at = time.monotonic()
        return await self.append(payload)

    async def end(self, payload: dict[str, Any]) -> None:
        """Write the last entry."""
        await self.append(payload)

    async def append(self, payload: dict[str, Any]) -> bool:
        """Add an entry and tell the readers here."""
        self.seq += 1
        is_ours = await in_thread(log.append_entry)(self.claim, self.seq, payload)
        self.live.announce()
        return bool(is_ours)


def _choice(generation: Generation) -> choices.ModelChoice:
    """Return what answers, as far as its maker may still see it.

    Raises:
        ChoiceNotFoundError: it is gone, or the maker is.
    """
    maker = generation.created_by
    if maker is None or not maker.is_active:
        raise ChoiceNotFoundError("who asked for this answer is no longer here")
    return choices.find_choice(maker, generation.choice_id)


def request_id_of(claim: Claim) -> str:
    """Return what the node knows this go by."""
    return f"generation-{claim.generation.pk}-{claim.writer}"


def request_of(claim: Claim, choice: choices.ModelChoice) -> GenerateRequest:
    """Return what the model is asked."""
    generation = claim.generation
    return GenerateRequest(
        id=request_id_of(claim),
        model=choice.ref,
        prompt=Prompt.model_validate(generation.prompt),
        sampling=Sampling.model_validate(generation.sampling),
        answered_ids=tuple(claim.token_ids),
    )
