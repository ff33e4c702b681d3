"""Sequences that take turns: one is computed at a time, so none can change another."""

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from inference.constraints import Constraint, constrain
from inference.decoder.device_sampling import DeviceSampler, Reading
from inference.sampling import Choice, choose_tokens
from inference.sequence import Sequence
from inference.vocabulary import Vocabulary, told

logger = logging.getLogger(__name__)

MOST_SLOTS = 8
READ_AT_ONCE = 512
"""Tokens of a prompt read in one pass; others wait that long for their next token."""


class Reader(Protocol):
    """A model that reads tokens one piece after the other."""

    def begin(self, sequence: Sequence) -> tuple[Any, list[int]]:
        """Return what the model will remember, and the first tokens to read."""

    def read(self, memory: Any, ids_T: Tensor) -> Tensor:
        """Read some more tokens; return logits_V of what comes next."""


@dataclass(eq=False)
class Active:
    """A sequence in its slot."""

    sequence: Sequence
    memory: Any
    tokens: list[int]
    """All the decoder reads."""
    constraint: Constraint | None
    num_read: int = 0
    sampler: DeviceSampler | None = None
    """What chooses on a GPU (`one_ahead`)."""
    reading: Reading | None = None
    """The token that is on its way from there."""


class OneByOneRunner:
    """Answers with one model; each step is one pass of one sequence, in turns."""

    def __init__(
        self,
        reader: Reader,
        vocabulary: Vocabulary,
        *,
        context: int,
        num_slots: int = MOST_SLOTS,
    ) -> None:
        """Begin with no sequence; `context` bounds what the decoder reads."""
        self.reader = reader
        self.vocabulary = vocabulary
        self.context = context
        self.num_slots = num_slots
        self.waiting: deque[Sequence] = deque()
        self.active: deque[Active] = deque()

    @property
    def num_running(self) -> int:
        """Sequences that have a slot."""
        return len(self.active)

    @property
    def num_waiting(self) -> int:
        """Sequences that wait for one."""
        return len(self.waiting)

    def add(self, sequence: Sequence) -> None:
        """Take a sequence in; it waits for a slot."""
        self.waiting.append(sequence)

    def step(self) -> bool:
        """Let the next sequence read or answer; False where there is none."""
        self._drop_cancelled()
        while self.waiting and len(self.active) < self.num_slots:
            self._admit(self.waiting.popleft())
        if not self.active:
            return False
        one = self.active[0]
        self.active.rotate(-1)
        try:
            self._advance(one)
        except Exception as error:
            logger.exception("A step failed; its sequence ends")
            if one in self.active:
                self.active.remove(one)
            one.sequence.fail(error)
        return True

    def close(self) -> None:
        """End every sequence that is left."""
        gone = RuntimeError("the model was unloaded")
        while self.active:
            self.active.popleft().sequence.fail(gone)
        while self.waiting:
            self.waiting.popleft().fail(gone)

    def _drop_cancelled(self) -> None:
        for one in [one for one in self.active if one.sequence.is_cancelled]:
            self.active.remove(one)
            one.sequence.finish("cancelled")
        for sequence in [one for one in self.waiting if one.is_cancelled]:
            self.waiting.remove(sequence)
            sequence.finish("cancelled")

    def _admit(self, sequence: Sequence) -> None:
        try:
            constraint = constrain(sequence, self.vocabulary)
            memory, tokens = self.reader.begin(sequence)
        except Exception as error:  # noqa: BLE001 - its asker gets it
            sequence.fail(error)
            return
        tokens = [*tokens, *sequence.answer_ids]
        self.active.append(Active(sequence, memory, tokens, constraint))
        sequence.start(0)

    def _advance(self, one: Active) -> None:
        piece = one.tokens[one.num_read : one.num_read + READ_AT_ONCE]
        logits_V = self.reader.read(one.memory, torch.tensor(piece))
        one.num_read += len(piece)
        if one.num_read < len(one.tokens):
            return
        mask = one.constraint.mask().to(logits_V.device) if one.constraint else None
        [choice] = choose_tokens(logits_V[None], [one.sequence], [mask])
        self._take(one, choice)

    def _take(self, one: Active, choice: Choice) -> None:
        """Add a token to its answer, and see whether that is the end."""
        sequence = one.sequence
        if choice.id in sequence.eos_ids:
            self.active.remove(one)
            sequence.finish("stop")
            return
        sequence.answer_ids.append(choice.id)
        one.tokens.append(choice.id)
        is_over = sequence.tell(told(self.vocabulary, choice))
        if one.constraint:
            is_over = one.constraint.accept(choice.id) or is_over
        is_full = (
            len(sequence.answer_ids) >= sequence.max_tokens
            or len(one.tokens) >= self.context
        )
        if is_over or is_full:
            self.active.remove(one)
            sequence.finish("stop" if is_over else "length")
