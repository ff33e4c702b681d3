"""Gathering the replies of one answerer, while telling how far it is."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

from runspec.labels import Source

from trainer.asking.parts import PartFile
from trainer.asking.questions import Question, Reply
from trainer.context import Context
from trainer.errors import BadInputError, Stopped

REPORT_EVERY_S = 1.0


@dataclass
class Progress:
    """How far a run is, over all its answerers; looks whether it shall stop."""

    context: Context
    total: int
    metric: str
    """Name of the curve of tokens a second."""
    unit: str = "answers"
    done: int = 0
    """Those of earlier attempts included."""
    tokens: int = 0
    phase: str = ""
    part: PartFile | None = None
    """What must be on disk before it is told of."""
    _told_at: float = 0.0
    _told_tokens: int = 0
    _begun: tuple[float, int] = field(default_factory=lambda: (time.monotonic(), 0))

    def begin(self, phase: str, part: PartFile | None = None) -> None:
        """Say what is done from now on."""
        self.phase = phase
        self.part = part
        self._begun = (time.monotonic(), self.done)
        self.tell()

    def note(self, reply: Reply) -> None:
        """Count a reply."""
        self.done += 1
        self.tokens += reply.tokens

    def tick(self) -> None:
        """Tell how far it is, now and then.

        Raises:
            Stopped: the run was asked to stop.
        """
        if self.context.stop.is_set():
            raise Stopped
        if time.monotonic() - self._told_at >= REPORT_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Tell how far it is; what is told of is on disk."""
        if self.part is not None:
            self.part.flush()
        now = time.monotonic()
        tokens = self.tokens - self._told_tokens
        rate = tokens / (now - self._told_at) if self._told_at else 0.0
        begun, before = self._begun
        made = self.done - before
        left = self.total - self.done
        eta_s = left * (now - begun) / made if made else None
        if tokens:
            self.context.report.metric(self.done, **{self.metric: rate})
        self.context.report.progress(
            step=self.done,
            total=self.total,
            unit=self.unit,
            tokens=self.tokens,
            tokens_per_s=rate if tokens else None,
            eta_s=eta_s,
            phase=self.phase,
        )
        self._told_at, self._told_tokens = now, self.tokens


Asker = Callable[[Iterator[Question]], Iterator[Reply | None]]


def collect(
    asker: Asker,
    questions: Iterable[Question],
    *,
    part: PartFile,
    progress: Progress,
    keep: Callable[[Reply], Reply] = lambda reply: reply,
) -> None:
    """Ask what the part has no reply to, and append what comes.

    `keep` may leave out what of a reply is not worth its place.

    Raises:
        Stopped: the run was asked to stop; what was answered is kept.
    """
    missing = (one for one in questions if not part.has(one.number))
    last = time.monotonic()
    # A generator: closing it ends what it still waits for.
    replies = cast(Any, asker(missing))
    try:
        with closing(replies):
            for reply in replies:
                if reply is not None:
                    now = time.monotonic()
                    timed = reply.model_copy(update={"spent_s": now - last})
                    last = now
                    part.add(keep(timed))
                    progress.note(reply)
                progress.tick()
    finally:
        progress.tell()


def refuse_silence(source: Source, part: PartFile) -> None:
    """Fail the run where an answerer answered nothing at all.

    Its failures are forgotten, so that another try asks again.

    Raises:
        BadInputError: the first failure stands for all.
    """
    if part.num_failed < part.total:
        return
    part.close()
    part.path.unlink()
    raise BadInputError(
        f"{source.title} answered none of {part.total:,} prompts; the first time "
        f"because {part.first_error}",
        "Choose another model or other prompts, or change how it answers.",
    )
