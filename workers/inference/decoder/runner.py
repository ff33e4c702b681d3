"""Many answers at once: sequences join and leave the batch at any step.

Each step is one pass over the next token of every sequence that answers, and over a
piece of the prompts that are still being read. Since a pass gives each row the same
bits whatever stands beside it (`decoder.kernels`), so do answers.
"""

import logging
from collections import deque
from dataclasses import dataclass, field

from torch import Tensor

from inference.constraints import Constraint, constrain
from inference.decoder.cpu_pass import CpuPass, indices
from inference.decoder.slots import Slot, Slots
from inference.decoder.torch_pass import AS_CHOSEN, TorchPass
from inference.sampling import Choice, choose_tokens
from inference.sequence import Sequence
from inference.vocabulary import Vocabulary, told

logger = logging.getLogger(__name__)

ROWS_PER_STEP = 256
"""Rows of one pass: those of prompts fill what answers leave. More would let answers
stutter while a long prompt is read."""


@dataclass(eq=False)
class Active:
    """A sequence in its slot."""

    sequence: Sequence
    slot: Slot
    tokens: list[int]
    """Prompt and answer, as far as they are known here."""
    constraint: Constraint | None
    num_read: int
    num_ahead: int = 0
    """Tokens of the answer that so far only the device knows (`decoder.ahead`)."""

    @property
    def num_unread(self) -> int:
        """Tokens to read before the next one can be chosen; 1 while it answers."""
        return len(self.tokens) + self.num_ahead - self.num_read

    def next_piece(self, room: int, context: int) -> list[int]:
        """Return what to read next; nothing where it has to wait."""
        if not self.num_ahead:
            return self.tokens[self.num_read : self.num_read + max(room, 0)]
        num_answered = len(self.sequence.answer_ids) + self.num_ahead
        is_over = (
            num_answered >= self.sequence.max_tokens
            or len(self.tokens) + self.num_ahead >= context
        )
        must_wait = is_over or self.constraint is not None or room < 1
        return [] if must_wait else [AS_CHOSEN]

    def note_read(self, number: int) -> None:
        """Count tokens as read, and say so of the slot as far as they are known."""
        self.num_read += number
        self.slot.tokens += self.tokens[len(self.slot.tokens) : self.num_read]


@dataclass
class Rows:
    """What one pass reads, and whose next token comes of it."""

    ids: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    """The rows of `ready`."""
    ready: list[Active] = field(default_factory=list)


class DecoderRunner:
    """Answers with one model, many sequences at a time."""

    def __init__(
        self, holder: CpuPass | TorchPass, vocabulary: Vocabulary, num_slots: int
    ) -> None:
        """Begin with no sequence."""
        self.holder = holder
        self.vocabulary = vocabulary
        self.slots = Slots(num_slots, holder)
        self.waiting: deque[Sequence] = deque()
        self.active: list[Active] = []
        self.context = holder.context

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
        """Read and answer one step; False where there is nothing to do."""
        self._drop_cancelled()
        self._admit()
        if not self.active:
            return False
        try:
            self._advance()
        except Exception as error:
            logger.exception("A step failed; its sequences end")
            for one in list(self.active):
                self._leave(one)
                one.sequence.fail(error)
        return True

    def close(self) -> None:
        """End every sequence that is left."""
        gone = RuntimeError("the model was unloaded")
        for one in list(self.active):
            self._leave(one)
            one.sequence.fail(gone)
        while self.waiting:
            self.waiting.popleft().fail(gone)

    def _drop_cancelled(self) -> None:
        for one in [one for one in self.active if one.sequence.is_cancelled]:
            self._leave(one)
            one.sequence.finish("cancelled")
        for sequence in [one for one in self.waiting if one.is_cancelled]:
            self.waiting.remove(sequence)
            sequence.finish("cancelled")

    def _admit(self) -> None:
        while self.waiting and self.slots.num_free:
            sequence = self.waiting.popleft()
            try:
                constraint = constrain(sequence, self.vocabulary)
            except ValueError as error:
                sequence.fail(error)
                continue
            tokens = [*sequence.prompt_ids, *sequence.answer_ids]
            slot = self.slots.take(tokens)
            num_read = len(slot.tokens)
            self.active.append(Active(sequence, slot, tokens, constraint, num_read))
            sequence.start(num_read)

    def _leave(self, one: Active) -> None:
        self.active.remove(one)
        self.slots.release(one.slot)

    def _gather(self) -> Rows:
        """Return the rows of the next pass, and note them as read."""
        rows = Rows()
        room = ROWS_PER_STEP
        # Answers first: a prompt may wait a step, a reader should not.
        for one in sorted(self.active, key=lambda one: one.num_unread > 1):
            piece = one.next_piece(room, self.context)
            if not piece:
                continue
            rows.ids += piece
            rows.slots += [one.slot.number] * len(piece)
            rows.positions += range(one.num_read, one.num_read + len(piece))
            one.note_read(len(piece))
            room -= len(piece)
            if not one.num_unread:
                rows.ready.append(one)
                rows.wanted.append(len(rows.ids) - 1)
        return rows

    def _read(self, rows: Rows) -> Tensor:
        """Take one pass; return logits_WV of the rows that are wanted."""
        told = (rows.ids, rows.slots, rows.positions, rows.wanted)
        return self.holder.forward(*map(indices, told))

    def _advance(self) -> None:
        """Take one pass, and choose a token for each sequence that is up to date."""
        rows = self._gather()
        logits_WV = self._read(rows)
        if not rows.ready:
            return
        masks = [
            one.constraint.mask() if one.constraint else None for one in rows.ready
        ]
        choices = choose_tokens(logits_WV, [one.sequence for one in rows.ready], masks)
        for one, choice in zip(rows.ready, choices, strict=True):
            self._take(one, choice)

    def _take(self, one: Active, choice: Choice) -> None:
        """Add a token to its answer, and see whether that is the end."""
        sequence = one.sequence
        if choice.id in sequence.eos_ids:
            self._leave(one)
            sequence.finish("stop")
            return
        sequence.answer_ids.append(choice.id)
        one.tokens.append(choice.id)
        is_over = sequence.tell(told(self.vocabulary, choice))
        if one.constraint:
            is_over = one.constraint.accept(choice.id) or is_over
        if is_over:
            self._leave(one)
            sequence.finish("stop")
        elif (
            len(sequence.answer_ids) >= sequence.max_tokens
            or len(one.tokens) >= self.context
        ):
            self._leave(one)
            sequence.finish("length")
