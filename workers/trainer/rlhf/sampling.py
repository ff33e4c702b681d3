"""Drawing answers from a policy, so that a run that goes on draws the same again.

The draw of a token is a number made of the seed of its answer and its place in it; the
seed is made of the run's, the step and the number of the answer in it. So nothing
depends on a state of random numbers.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from transformers import PreTrainedTokenizerFast


class Rollout(NamedTuple):
    """One answer that was drawn."""

    prompt_ids: list[int]
    ids: list[int]
    """Tokens of the answer; the one that ends it is among them."""
    logprobs: list[float]
    """Of each of them, by the policy itself: at temperature 1, nothing left out."""
    ended: bool
    """Whether it came to its end; else it was cut."""


class Drawing(NamedTuple):
    """How tokens are drawn."""

    max_tokens: int
    """Of an answer, its end included."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0: all."""


class Sampler(Protocol):
    """Draws answers from the policy as it is now."""

    name: str
    """What computes, like `engine` or `transformers`."""

    def sample(
        self,
        prompts: Sequence[list[int]],
        *,
        seeds: Sequence[int],
        is_greedy: bool = False,
    ) -> list[Rollout]:
        """Return one answer to each prompt (token ids), drawn by its seed.

        Raises:
            Stopped: the run shall stop.
        """
        ...


def seed_of(run: int, step: int, number: int) -> int:
    """Return the seed of one answer of one step, below 2**63."""
    packed = struct.pack("<QQQ", run, step, number)
    digest = hashlib.blake2b(packed, digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def make_sampler(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    drawing: Drawing,
    *,
    ends: Sequence[int],
    is_stopped: Callable[[], bool],
) -> Sampler:
    """Return what draws fastest from this model where it is: the engine on a CPU."""
    from trainer.rlhf.by_engine import EngineSampler, can_engine
    from trainer.rlhf.by_library import LibrarySampler

    made = EngineSampler if can_engine(model) else LibrarySampler
    return made(model, tokenizer, drawing, ends=ends, is_stopped=is_stopped)
