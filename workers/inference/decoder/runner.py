"""Many answers at once: sequences join and leave the batch at any step.

Each step is one pass over the next token of every sequence that answers, and over a
piece of the prompts that are still being read. Since a pass gives each row the same
bits whatever stands beside it (`decoder.kernels`), so do answers.
"""

import logging
from collections import deque
from dataclasses import dataclass

import torch
from torch import nn

from inference.constraints import Constraint, constrain
from inference.decoder.cpu_pass import CpuPass, indices
from inference.decoder.slots import Slot, Slots
from inference.decoder.torch_pass import TorchPass, can_join
from inference.decoder.weights import can_lay_out, lay_out
from inference.sampling import Choice, choose_tokens
from inference.sequence import Sequence
from inference.vocabulary import Vocabulary, told

logger = logging.getLogger(__name__)

ROWS_PER_STEP = 256
"""Rows of one pass: those of prompts fill what answers leave. More would let answers
stutter while a long prompt is read."""
MOST_SLOTS = 16
MOST_GPU_SLOTS = 64


@dataclass
class Active:
    """A sequence in its slot."""

    sequence: Sequence
    slot: Slot
    tokens: list[int]
    """Prompt and answer; those behind `slot.tokens` are still to be read."""
    constraint: Constraint | None

    @property
    def num_unread(self) -> int:
        """Tokens to read before the next one can be chosen; 1 while it answers."""
        return len(self.tokens) - len(self.slot.tokens)


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
            self.active.append(Active(sequence, slot, tokens, constraint))
            sequence.start(len(slot.tokens))

    def _leave(self, one: Active) -> None:
        self.active.remove(one)
        self.slots.release(one.slot)

    def _advance(self) -> None:
        """Take one pass, and choose a token for each sequence that is up to date."""
        ids: list[int] = []
        slots: list[int] = []
        positions: list[int] = []
        ready: list[Active] = []
        wanted: list[int] = []
        room = ROWS_PER_STEP
        # Answers first: a prompt may wait a step, a reader should not.
        for one in sorted(self.active, key=lambda one: one.num_unread > 1):
            start = len(one.slot.tokens)
            piece = one.tokens[start : start + max(room, 0)]
            if not piece:
                continue
            ids += piece
            slots += [one.slot.number] * len(piece)
            positions += range(start, start + len(piece))
            one.slot.tokens += piece
            room -= len(piece)
            if not one.num_unread:
                ready.append(one)
                wanted.append(len(ids) - 1)
        logits_WV = self.holder.forward(
            indices(ids), indices(slots), indices(positions), indices(wanted)
        )
        if not ready:
            return
        masks = [one.constraint.mask() if one.constraint else None for one in ready]
        choices = choose_tokens(logits_WV, [one.sequence for one in ready], masks)
        for one, choice in zip(ready, choices, strict=True):
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


def make_runner(
    model: nn.Module, vocabulary: Vocabulary, *, room_bytes: int
) -> DecoderRunner | None:
    """Return a runner of this model; None where the kernels do not know its family.

    `room_bytes` is for keys and values: it decides how many sequences are answered at
    once. The model is copied and may be let go.
    """
    if not can_lay_out(model):
        return None
    if next(model.parameters()).device.type != "cpu":
        return _make_torch_runner(model, vocabulary, room_bytes)
    weights = lay_out(model, is_half=is_stored_half(model))
    num_slots = min(room_bytes // CpuPass.bytes_per_slot(weights), MOST_SLOTS)
    num_slots = max(num_slots, 1)
    return DecoderRunner(CpuPass(weights, num_slots), vocabulary, num_slots)


def _make_torch_runner(
    model: nn.Module, vocabulary: Vocabulary, room_bytes: int
) -> DecoderRunner | None:
    if not can_join(model):
        return None
    num_slots = min(room_bytes // TorchPass.bytes_per_slot(model), MOST_GPU_SLOTS)
    num_slots = max(num_slots, 1)
    return DecoderRunner(TorchPass(model, num_slots), vocabulary, num_slots)


def is_stored_half(model: nn.Module) -> bool:
    """Whether bfloat16 holds every parameter exactly: that is how they were stored."""
    return next(model.parameters()).dtype == torch.bfloat16
