"""Answering with the engine in this process: one model in memory, its slots kept full.

The runner is stepped by whoever reads the answers, on the main thread, so that between
two steps signals are heard.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from inference.answering import effective_sampling, not_finite, receipt_of, too_long
from inference.decoder.cpu_pass import compile_kernels
from inference.errors import RefusedError, is_out_of_memory, refused
from inference.loading import build, locate
from inference.machine import choose_device, engine_name, free_memory
from inference.prompts import Templates
from inference.sequence import Sequence
from inference.served import Served, serve
from inference.vocabulary import TextStream
from runspec.labels import Answer, Source
from runspec.serving import FinishReason, ModelRef, Prompt, TokenTold

from trainer.asking.questions import Question, Reply, sha256_of
from trainer.errors import BadInputError

logger = logging.getLogger(__name__)

QUEUED_PER_SLOT = 2
"""Prompts in the runner for each slot, so that none stands empty."""
POLL_S = 0.1
SYSTEM_PROBE = "Be kind 7391."
KEYS_SHARE = {"cpu": 4, "cuda": 2}
"""Keys and values get this part of what memory is free once the weights are there."""
Tick = Callable[[], None]
"""Called often; raises to end what goes on."""


class LocalModel:
    """A model in memory, and the replies it makes."""

    def __init__(self, title: str, served: Served, templates: Templates) -> None:
        """Begin with no question; `load` makes one."""
        self.title = title
        self.served = served
        self._templates = templates
        self._replies: deque[Reply] = deque()
        self._fatal: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.served.runner is not None:
            self.served.runner.close()
        self._templates.close()

    @property
    def can_write(self) -> bool:
        """Whether it answers with text."""
        return self.served.runner is not None

    @property
    def is_scorer(self) -> bool:
        """Whether it scores texts instead of writing any."""
        return self.served.scorer is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """What a scorer's numbers are called; nothing for a single reward."""
        return self.served.facts.labels

    @property
    def has_template(self) -> bool:
        """Whether it reads conversations."""
        return self.served.facts.has_template

    @property
    def can_converse(self) -> bool:
        """Whether it answers conversations with text."""
        return self.can_write and self.has_template

    @property
    def knows_system(self) -> bool:
        """Whether its template writes what the system says, and does not refuse it."""
        turns = (
            {"role": "system", "content": SYSTEM_PROBE},
            {"role": "user", "content": "Hello"},
        )
        try:
            return SYSTEM_PROBE in self.served.prompts.read(Prompt(messages=turns)).text
        except RefusedError:
            return False

    def answers(self, questions: Iterable[Question]) -> Iterator[Reply | None]:
        """Yield replies as they are done; None where a moment passed without one.

        Raises:
            MemoryError: and what torch raises in its place.
        """
        runner = self.served.runner
        assert runner is not None
        most = QUEUED_PER_SLOT * max(1, self.served.num_slots)
        waiting = iter(questions)
        has_more = is_busy = True
        while has_more or is_busy:
            while has_more and runner.num_running + runner.num_waiting < most:
                question = next(waiting, None)
                if question is None:
                    has_more = False
                    break
                self._begin(question)
            is_busy = runner.step()
            if self._fatal is not None:
                raise self._fatal
            while self._replies:
                yield self._replies.popleft()
            yield None

    def scores(self, questions: Iterable[Question]) -> Iterator[Reply | None]:
        """Yield the score of each conversation that ends with an answer, or text."""
        scorer = self.served.scorer
        assert scorer is not None
        for question in questions:
            number = question.number
            try:
                read = self.served.prompts.read(question.prompt, as_question=False)
                if len(read.ids) > self.served.facts.context:
                    raise too_long(len(read.ids), self.served.facts.context)
            except RefusedError as error:
                yield Reply(number=number, error=error.event.message)
                continue
            [score] = scorer.score(read.ids)
            rendered = sha256_of(read.text)
            if not math.isfinite(score):
                message = not_finite(self.served).event.message
                yield Reply(number=number, error=message, rendered_sha256=rendered)
                continue
            yield Reply(
                number=number,
                score=score,
                tokens=len(read.ids),
                rendered_sha256=rendered,
            )

    def _begin(self, question: Question) -> None:
        """Give a question to the runner; its reply comes in a later step."""
        try:
            sequence = self._sequence(question)
        except RefusedError as error:
            self._replies.append(
                Reply(number=question.number, error=error.event.message)
            )
            return
        assert self.served.runner is not None
        self.served.runner.add(sequence)

    def _sequence(self, question: Question) -> Sequence:
        served = self.served
        read = served.prompts.read(question.prompt)
        sampling = effective_sampling(question.sampling, served, len(read.ids))
        assert sampling.max_tokens is not None
        assert sampling.seed is not None
        stream = TextStream(served.vocabulary, sampling.stop)
        pieces: list[str] = []
        rendered = sha256_of(read.text)
        is_finite = True

        def tell(token: TokenTold) -> bool:
            nonlocal is_finite
            if not math.isfinite(token.logprob):
                is_finite = False
                return True
            pieces.append(stream.push(token.id))
            return bool(stream.stop)

        def fail(error: Exception) -> None:
            if is_out_of_memory(error):
                self._fatal = error
            message = refused(error).event.message
            self._replies.append(
                Reply(number=question.number, error=message, rendered_sha256=rendered)
            )

        def finish(reason: FinishReason) -> None:
            if not is_finite:
                fail(not_finite(served))
                return
            held = "" if stream.stop else stream.flush()
            answer = Answer(
                text="".join([*pieces, held]),
                finish_reason=reason,
                sampling=sampling,
                token_ids=tuple(sequence.answer_ids),
                # What was cached depends on what was asked before: no part of the
                # answer, which is the same however often the run was broken off.
                receipt=receipt_of(served, read, sampling, num_cached=0),
            )
            self._replies.append(
                Reply(
                    number=question.number,
                    answer=answer,
                    tokens=len(sequence.answer_ids),
                    rendered_sha256=rendered,
                )
            )

        sequence = Sequence(
            prompt_ids=read.ids,
            sampling=sampling,
            tell=tell,
            finish=finish,
            fail=fail,
            start=lambda _: None,
            eos_ids=frozenset(served.facts.eos_ids),
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
        )
        return sequence


def load(source: Source, *, cache: Path, tick: Tick) -> LocalModel:
    """Return a model of this installation, ready to answer.

    It is read beside this thread, where signals must be heard meanwhile; one that is
    left behind dies with the process.

    Raises:
        BadInputError: it cannot be loaded.
    """
    ref = source.model
    assert ref is not None
    templates = Templates()
    made: list[Served] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            made.append(_serve(ref, cache, templates))
        except Exception as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=work, name="load-model", daemon=True)
    thread.start()
    while thread.is_alive():
        tick()
        thread.join(POLL_S)
    if not failed:
        logger.info("%s is loaded (%s)", ref.key, made[0].facts.runner)
        return LocalModel(source.title, made[0], templates)
    templates.close()
    [error] = failed
    if isinstance(error, RefusedError):
        raise BadInputError(
            f"{source.title}: {error.event.message}",
            "Choose another model, or import this one again.",
        ) from error
    if is_out_of_memory(error):
        raise BadInputError(
            f"{source.title} does not fit into the memory of this device",
            "Choose a smaller model, or run it where there is more memory.",
        ) from error
    raise error


def _serve(ref: ModelRef, cache: Path, templates: Templates) -> Served:
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    device = choose_device()
    if device == "cpu":
        compile_kernels()
    folder = cache / "models"
    folder.mkdir(parents=True, exist_ok=True)
    built = build(ref, locate(ref, folder), device)
    room_bytes = free_memory(device) // KEYS_SHARE[device.partition(":")[0]]
    return serve(ref, built, templates, engine_name(device), room_bytes=room_bytes)
