"""Which slot holds the keys and values of which tokens.

A slot keeps what it read when its sequence is over. A new sequence that begins with the
same tokens (a system prompt, the conversation so far) goes on behind them: in that slot
if it is free, else in a copy of it.
"""

from collections.abc import Sequence as Row
from dataclasses import dataclass, field
from typing import Protocol


class Copier(Protocol):
    """Something that holds the keys and values."""

    def copy_prefix(self, *, source: int, target: int, num_tokens: int) -> None:
        """Give a slot the first tokens of another."""


@dataclass
class Slot:
    """Tokens whose keys and values lie at one place."""

    number: int
    tokens: list[int] = field(default_factory=list)
    is_busy: bool = False
    last_used: int = 0


class Slots:
    """A fixed number of slots, the least recently used one taken first."""

    def __init__(self, number: int, holder: Copier) -> None:
        """Begin with empty ones."""
        self.all = [Slot(number=one) for one in range(number)]
        self.holder = holder
        self._clock = 0

    @property
    def num_free(self) -> int:
        """Slots nobody uses."""
        return sum(not slot.is_busy for slot in self.all)

    def take(self, tokens: Row[int]) -> Slot:
        """Return a free slot, with as much of these tokens read as is known anywhere.

        At least the last token is left to be read: its logits are wanted.
        """
        shared = {slot.number: self._shared(slot, tokens) for slot in self.all}
        best = max(self.all, key=lambda slot: (shared[slot.number], slot.last_used))
        num_shared = shared[best.number]
        slot = best
        if best.is_busy or not num_shared:
            free = [slot for slot in self.all if not slot.is_busy]
            # Of those, the one whose content is the smallest loss.
            slot = min(free, key=lambda one: (bool(one.tokens), one.last_used))
            if num_shared:
                self.holder.copy_prefix(
                    source=best.number, target=slot.number, num_tokens=num_shared
                )
        slot.tokens = list(tokens[:num_shared])
        slot.is_busy = True
        return slot

    def release(self, slot: Slot) -> None:
        """Let others have the slot; what it holds stays as long as it can."""
        self._clock += 1
        slot.last_used = self._clock
        slot.is_busy = False

    def _shared(self, slot: Slot, tokens: Row[int]) -> int:
        most = min(len(slot.tokens), len(tokens) - 1)
        for place in range(most):
            if slot.tokens[place] != tokens[place]:
                return place
        return max(most, 0)
