"""One answer in the making, as the engine and its runners hand it on."""

import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from runspec.serving import FinishReason, Sampling, TokenTold

_numbers = itertools.count()


@dataclass(eq=False)
class Sequence:
    """A prompt, what was answered so far, and who listens.

    Runners call `tell` and `finish`, on the engine's thread; both must return at once.
    """

    prompt_ids: list[int]
    sampling: Sampling
    tell: Callable[[TokenTold], bool]
    """Takes each token; True asks to finish (a stop sequence was completed)."""
    finish: Callable[[FinishReason], None]
    """Called once, when the sequence has left its slot, or never had one."""
    fail: Callable[[Exception], None]
    """Called instead where it cannot go on."""
    start: Callable[[int], None]
    """Called once it has a slot, with the number of prompt tokens found cached."""
    eos_ids: frozenset[int]
    max_tokens: int
    seed: int = field(default_factory=lambda: secrets.randbits(63))
    top_logprobs: int = 0
    answer_ids: list[int] = field(default_factory=list)
    """Tokens answered; begins with those of an answer that is gone on with."""
    is_cancelled: bool = False
    """Set from any thread; takes effect before the next token."""
    arrived: float = field(default_factory=time.monotonic)
    number: int = field(default_factory=lambda: next(_numbers))
