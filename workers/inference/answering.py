"""One request to generate, from its prompt to the last event of its stream.

Tokens are made on the engine's thread and sent on the event loop. The first one
crosses at once, later ones together every `FLUSH_S`, so that a fast model does not
spend its time on telling.
"""

import asyncio
import math
import secrets
import time
from collections import deque
from dataclasses import dataclass

from runspec.serving import (
    IMPOSSIBLE,
    EndEvent,
    ErrorEvent,
    FinishEvent,
    FinishReason,
    GenerateRequest,
    PromptEvent,
    Receipt,
    Sampling,
    Timings,
    TokensEvent,
    TokenTold,
)

from inference.engine import Engine
from inference.errors import RefusedError, refused
from inference.prompts import Read
from inference.sequence import Sequence
from inference.served import NOT_FINITE, Served
from inference.vocabulary import TextStream

FLUSH_S = 0.02
Event = PromptEvent | TokensEvent | FinishEvent | EndEvent | ErrorEvent


@dataclass
class Said:
    """A token of one choice, with the text it sets free."""

    index: int
    token: TokenTold
    text: str


class Answer:
    """The choices of one request; `events` yields what is to be sent."""

    def __init__(self, request: GenerateRequest, engine: Engine) -> None:
        """Begin to count the time; `ask` begins to compute."""
        self.request = request
        self.engine = engine
        self.arrived = time.monotonic()
        self.is_cancelled = False
        self.freed = asyncio.Event()
        """Set once no slot is used, nor will be."""
        self.freed_at = 0.0
        self.num_waiting = request.n
        """Choices without a slot so far."""
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._sequences: list[Sequence] = []
        self._streams: list[TextStream] = []
        self._said: deque[Said | FinishEvent] = deque()
        self._is_flush_due = False
        self._flushed_at = -1.0
        self._started_at = 0.0
        self._first_at = 0.0
        self._last_at = 0.0
        self._num_tokens = 0
        self._num_prompt = 0
        self._num_left = request.n
        self._is_over = False

    # On the event loop -------------------------------------------------------

    def ask(
        self,
        served: Served,
        read: Read,
        *,
        top_logprobs: int | None = None,
        ends: tuple[int, ...] | None = None,
    ) -> None:
        """Give the choices to the engine.

        `top_logprobs` and `ends` (tokens that end an answer) replace those of the
        request and the model.

        Raises:
            RefusedError: the prompt does not fit, or the model does not answer.
        """
        if self.is_cancelled:
            for index in range(self.request.n):
                self._put(FinishEvent(index=index, reason="cancelled"))
            self._end(self._summary())
            return
        sampling = effective_sampling(self.request.sampling, served, len(read.ids))
        self._num_prompt = len(read.ids)
        self._sequences = [
            self._sequence(index, served, read, sampling)
            for index in range(self.request.n)
        ]
        for sequence in self._sequences:
            if top_logprobs is not None:
                sequence.top_logprobs = top_logprobs
            if ends is not None:
                sequence.eos_ids = frozenset(ends)
        runner = served.runner
        assert runner is not None
        for sequence, stream in zip(self._sequences, self._streams, strict=True):
            is_full = len(sequence.answer_ids) >= sequence.max_tokens
            if is_full or stream.stop:
                # Broken off behind its last token: nothing is left to compute.
                sequence.start(0)
                sequence.finish("stop" if stream.stop else "length")
                continue

            def add(sequence: Sequence = sequence) -> None:
                runner.add(sequence)

            self.engine.call(add)

    def cancel(self) -> None:
        """Stop at the next token; the slots are free soon after."""
        self.is_cancelled = True
        if not self._sequences:  # its model is still being loaded
            self._free()
        for sequence in self._sequences:
            sequence.is_cancelled = True
        self.engine.wake()

    def close(self) -> None:
        """Be over without ever having been asked."""
        if not self._sequences:
            self._free()

    async def next(self) -> Event:
        """Return the next event; the last one is an `EndEvent` or an `ErrorEvent`."""
        return await self._events.get()

    def _sequence(
        self, index: int, served: Served, read: Read, sampling: Sampling
    ) -> Sequence:
        assert sampling.seed is not None
        assert sampling.max_tokens is not None
        stream = TextStream(served.vocabulary, sampling.stop)
        for token_id in self.request.answered_ids:
            stream.push(token_id)  # what it shows was sent before
        self._streams.append(stream)

        is_finite = True

        def tell(token: TokenTold) -> bool:
            nonlocal is_finite
            if not math.isfinite(token.logprob):
                is_finite = False
                return True
            text = stream.push(token.id)
            self._note(Said(index, sayable(token), text))
            return bool(stream.stop)

        def finish(reason: FinishReason) -> None:
            if not is_finite:
                self._fail(not_finite(served))
                return
            held = "" if stream.stop else stream.flush()
            self._finish(
                FinishEvent(index=index, reason=reason, stop=stream.stop, text=held)
            )

        def start(num_cached: int) -> None:
            receipt = receipt_of(served, read, sampling, num_cached)
            self._start(PromptEvent(receipt=receipt))

        return Sequence(
            prompt_ids=read.ids,
            sampling=sampling,
            tell=tell,
            finish=finish,
            fail=self._fail,
            start=start,
            eos_ids=frozenset(served.facts.eos_ids),
            max_tokens=sampling.max_tokens,
            # Wrapped: a seed at its upper bound has no successor.
            seed=(sampling.seed + index) % 2**63,
            top_logprobs=self.request.top_logprobs,
            answer_ids=list(self.request.answered_ids),
        )

    # On the engine's thread --------------------------------------------------

    def _start(self, event: PromptEvent) -> None:
        self.num_waiting -= 1
        if not self._started_at:
            self._started_at = time.monotonic()
            self._send(event)

    def _note(self, said: Said) -> None:
        now = time.monotonic()
        self._first_at = self._first_at or now
        self._last_at = now
        self._num_tokens += 1
        self._said.append(said)
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon_threadsafe(self._flush_soon)

    def _finish(self, event: FinishEvent) -> None:
        self._said.append(event)
        self._num_left -= 1
        if not self._num_left:
            self.freed_at = time.monotonic()
        self._loop.call_soon_threadsafe(self._flush)

    def _fail(self, error: Exception) -> None:
        is_constrained = self.request.sampling.response_format is not None
        if is_constrained and isinstance(error, ValueError):  # as `constrain` says it
            failure = RefusedError(
                400, "invalid_response_format", str(error), "response_format"
            )
        else:
            failure = refused(error)
        self._num_left -= 1
        if not self._num_left:
            self.freed_at = time.monotonic()
        for sequence in self._sequences:
            sequence.is_cancelled = True
        self._loop.call_soon_threadsafe(self._end, failure.event)

    def _send(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._put, event)

    # On the event loop again -------------------------------------------------

    def _flush_soon(self) -> None:
        wait_s = self._flushed_at + FLUSH_S - time.monotonic()
        if wait_s <= 0:
            self._flush()
        else:
            self._loop.call_later(wait_s, self._flush)

    def _flush(self) -> None:
        """Send what was said since; one event for each choice's tokens in a row."""
        # In this order: what is said after this line asks for a flush of its own.
        self._is_flush_due = False
        self._flushed_at = time.monotonic()
        rows: dict[int, list[Said]] = {}
        while self._said:
            one = self._said.popleft()
            if isinstance(one, Said):
                rows.setdefault(one.index, []).append(one)
                continue
            self._tell(rows.pop(one.index, []))
            self._put(one)
        for row in rows.values():
            self._tell(row)
        if not self._num_left and not self._said:
            self._end(self._summary())

    def _put(self, event: Event) -> None:
        if not self._is_over:
            self._events.put_nowait(event)

    def _tell(self, row: list[Said]) -> None:
        if row:
            event = TokensEvent.model_construct(
                index=row[0].index,
                tokens=tuple(one.token for one in row),
                text="".join(one.text for one in row),
            )
            self._put(event)

    def _end(self, event: EndEvent | ErrorEvent) -> None:
        """Send the terminal event, once; whatever comes later is not sent."""
        self._put(event)
        self._is_over = True
        if not self._num_left:
            self._free()

    def _free(self) -> None:
        self.num_waiting = 0
        self.freed_at = self.freed_at or time.monotonic()
        self.freed.set()

    def _summary(self) -> EndEvent:
        now = time.monotonic()
        first_at = self._first_at or now
        answering_s = self._last_at - first_at
        rate = (self._num_tokens - 1) / answering_s if answering_s > 0 else 0.0
        return EndEvent(
            prompt_tokens=self._num_prompt,
            completion_tokens=self._num_tokens,
            timings=Timings(
                queue_s=(self._started_at or now) - self.arrived,
                first_token_s=first_at - self.arrived,
                total_s=now - self.arrived,
                tokens_per_s=rate,
            ),
        )


def effective_sampling(sampling: Sampling, served: Served, num_prompt: int) -> Sampling:
    """Return the settings as they take effect on a prompt of so many tokens.

    Raises:
        RefusedError: the prompt leaves no room for an answer.
    """
    facts = served.facts
    is_decoder = facts.architecture == "decoder"
    # What an encoder reads takes no room of the answer, which has a start token.
    room = facts.context - (num_prompt if is_decoder else 1)
    if num_prompt > facts.context or room < 1:
        raise too_long(num_prompt, facts.context)
    wanted = sampling.max_tokens
    return sampling.model_copy(
        update={
            "max_tokens": room if wanted is None else min(wanted, room),
            "seed": secrets.randbits(53) if sampling.seed is None else sampling.seed,
        }
    )


def receipt_of(
    served: Served, read: Read, sampling: Sampling, num_cached: int
) -> Receipt:
    """Return how an answer is made."""
    return Receipt(
        model_key=served.ref.key,
        weights_sha256=served.ref.sha256,
        template_sha256=read.template_sha256,
        engine=served.engine_name,
        rendered=read.text,
        prompt_ids=tuple(read.ids),
        sampling=sampling,
        context=served.facts.context,
        cached_tokens=num_cached,
        is_exact=served.is_exact,
    )


def sayable(token: TokenTold) -> TokenTold:
    """Return a token with numbers JSON can hold: some alternatives are impossible."""
    if all(math.isfinite(logprob) for _, _, logprob in token.top):
        return token
    top = tuple((one, text, max(value, IMPOSSIBLE)) for one, text, value in token.top)
    return token.model_copy(update={"top": top})


def not_finite(served: Served) -> RefusedError:
    """Say that a model computes nothing of use."""
    return RefusedError(
        500,
        "model_not_finite",
        f"{served.ref.key} cannot answer this: {NOT_FINITE}",
        "model",
    )


def too_long(num_tokens: int, context: int) -> RefusedError:
    """Say that a prompt does not fit, naming both numbers."""
    return RefusedError(
        400,
        "context_length_exceeded",
        f"the prompt has {num_tokens:,} tokens, and the model sees {context:,} at "
        "most, its answer included",
        "prompt",
    )
