"""Answers drawn by the inference engine: on a CPU several times as fast as `generate`.

The weights are laid out anew for each call; that takes milliseconds for the models a
CPU can train.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from inference.decoder.cpu_pass import CpuPass
from inference.decoder.runner import DecoderRunner
from inference.decoder.team import team
from inference.decoder.weights import Weights, can_lay_out, lay_out
from inference.sequence import Sequence as Answering
from inference.vocabulary import Vocabulary, vocabulary_of
from peft import PeftModel
from runspec.serving import Sampling, TokenTold
from transformers import PreTrainedTokenizerFast

from trainer.errors import Stopped
from trainer.rlhf.sampling import Drawing, Rollout

MOST_SLOTS = 32
"""Answers in the making at once."""
SLOT_BYTES = 2 * 2**30
"""Memory their keys and values may take."""


def can_engine(model: Any) -> bool:
    """Whether the engine computes what this model does, where it is."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    return model.device.type == "cpu" and can_lay_out(inner)


class EngineSampler:
    """Draws with the engine."""

    name = "engine"

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerFast,
        drawing: Drawing,
        *,
        ends: Sequence[int],
        is_stopped: Callable[[], bool],
    ) -> None:
        begin_team()
        self.model = model
        self.vocabulary: Vocabulary = vocabulary_of(tokenizer)
        self.drawing = drawing
        self.ends = frozenset(ends)
        self.is_stopped = is_stopped

    def sample(
        self,
        prompts: Sequence[list[int]],
        *,
        seeds: Sequence[int],
        is_greedy: bool = False,
    ) -> list[Rollout]:
        """Return one answer to each prompt; see `sampling.Sampler`."""
        weights = weights_of(self.model)
        room = SLOT_BYTES // CpuPass.bytes_per_slot(weights)
        num_slots = max(1, min(len(prompts), MOST_SLOTS, room))
        # A new runner: what an older one read, it read with older weights.
        runner = DecoderRunner(CpuPass(weights, num_slots), self.vocabulary, num_slots)
        failures: list[Exception] = []
        answers = [
            Answer(self, ids, seed, is_greedy=is_greedy, fail=failures.append)
            for ids, seed in zip(prompts, seeds, strict=True)
        ]
        for one in answers:
            runner.add(one.sequence)
        while runner.step():
            if failures:
                raise failures[0]
            if self.is_stopped():
                raise Stopped
        return [one.rollout() for one in answers]


def begin_team() -> None:
    """Have numba count its threads, and torch keep those it has.

    Numba tells OpenMP of all cores when it is first asked, and torch then trains on as
    many: far slower where this trainer was given fewer.
    """
    num_threads = torch.get_num_threads()
    team()
    torch.set_num_threads(num_threads)


class Answer:
    """One answer in the making."""

    def __init__(
        self,
        sampler: EngineSampler,
        ids: list[int],
        seed: int,
        *,
        is_greedy: bool,
        fail: Callable[[Exception], None],
    ) -> None:
        drawing = sampler.drawing
        self.ends = sampler.ends
        self.logprobs: list[float] = []
        self.sequence = Answering(
            prompt_ids=list(ids),
            sampling=Sampling(
                max_tokens=drawing.max_tokens,
                temperature=0.0 if is_greedy else drawing.temperature,
                top_p=drawing.top_p,
                top_k=drawing.top_k,
            ),
            tell=self.tell,
            finish=lambda _: None,
            fail=fail,
            start=lambda _: None,
            # The engine does not tell of a token that ends an answer; it must here.
            eos_ids=frozenset(),
            max_tokens=drawing.max_tokens,
            seed=seed,
        )

    def tell(self, token: TokenTold) -> bool:
        """Note a token; say whether it ends the answer."""
        self.logprobs.append(token.logprob)
        return token.id in self.ends

    def rollout(self) -> Rollout:
        """Return the answer."""
        ids = self.sequence.answer_ids
        return Rollout(
            self.sequence.prompt_ids, ids, self.logprobs, ids[-1] in self.ends
        )


@torch.no_grad()
def weights_of(model: Any) -> Weights:
    """Return a policy's weights as the engine reads them, an adapter's added in.

    The model itself is not touched: what is added and taken off again is not the same.
    """
    if isinstance(model, PeftModel):
        model = copy.deepcopy(model).merge_and_unload()
    return lay_out(model, is_half=False)
