"""Answers drawn with transformers' own `generate`: on GPUs, and for any family.

Shapes: B answers, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from inference.sampling import uniform_at
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from trainer.errors import Stopped
from trainer.rlhf.sampling import Drawing, Rollout

MOST_AT_ONCE = 256
"""Answers in the making at once."""


class LibrarySampler:
    """Draws with `generate`."""

    name = "transformers"

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerFast,
        drawing: Drawing,
        *,
        ends: Sequence[int],
        is_stopped: Callable[[], bool],
    ) -> None:
        self.model = model
        self.pad = int(tokenizer.pad_token_id)
        self.drawing = drawing
        self.ends = list(ends)
        self.is_stopped = is_stopped

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[list[int]],
        *,
        seeds: Sequence[int],
        is_greedy: bool = False,
    ) -> list[Rollout]:
        """Return one answer to each prompt; see `sampling.Sampler`."""
        was_training = self.model.training
        self.model.eval()
        found: list[Rollout] = []
        try:
            for start in range(0, len(prompts), MOST_AT_ONCE):
                part = slice(start, start + MOST_AT_ONCE)
                found += self._some(prompts[part], seeds[part], is_greedy=is_greedy)
        finally:
            self.model.train(was_training)
        return found

    def _some(
        self, prompts: Sequence[list[int]], seeds: Sequence[int], *, is_greedy: bool
    ) -> list[Rollout]:
        width = max(map(len, prompts))
        ids_BT = torch.full((len(prompts), width), self.pad)
        mask_BT = torch.zeros_like(ids_BT)
        for row, ids in enumerate(prompts):
            ids_BT[row, width - len(ids) :] = torch.tensor(ids)
            mask_BT[row, width - len(ids) :] = 1
        draw = Draw(self.drawing, seeds, width, is_greedy=is_greedy)
        out_BT = self.model.generate(
            input_ids=ids_BT.to(self.model.device),
            attention_mask=mask_BT.to(self.model.device),
            max_new_tokens=self.drawing.max_tokens,
            do_sample=False,
            num_beams=1,
            logits_processor=LogitsProcessorList([draw]),
            stopping_criteria=StoppingCriteriaList([Asking(self.is_stopped)]),
            eos_token_id=self.ends,
            pad_token_id=self.pad,
        )
        if self.is_stopped():
            raise Stopped
        logprobs_BT = torch.stack(draw.logprobs, dim=1).tolist()
        answers_BT = out_BT[:, width:].tolist()
        return [
            self._rollout(list(prompt), answer, logprobs)
            for prompt, answer, logprobs in zip(
                prompts, answers_BT, logprobs_BT, strict=True
            )
        ]

    def _rollout(
        self, prompt: list[int], answer: list[int], logprobs: list[float]
    ) -> Rollout:
        """Cut an answer behind its end, where padding begins."""
        ends = (at for at, one in enumerate(answer) if one in self.ends)
        end = next(ends, None)
        length = len(answer) if end is None else end + 1
        return Rollout(prompt, answer[:length], logprobs[:length], end is not None)


class Draw(LogitsProcessor):
    """Leaves the one token that was drawn, for `generate` to take as the likeliest."""

    def __init__(
        self, drawing: Drawing, seeds: Sequence[int], width: int, *, is_greedy: bool
    ) -> None:
        self.seeds = list(seeds)
        self.width = width
        self.is_greedy = is_greedy
        self.logprobs: list[Tensor] = []
        """Of the tokens drawn, (B,) for each place."""
        warpers: list[Any] = []
        if drawing.temperature != 1:
            warpers.append(TemperatureLogitsWarper(drawing.temperature))
        if drawing.top_k:
            warpers.append(TopKLogitsWarper(drawing.top_k))
        if drawing.top_p < 1:
            warpers.append(TopPLogitsWarper(drawing.top_p))
        self.warpers = LogitsProcessorList(warpers)
        self.is_sorted = bool(drawing.top_k or drawing.top_p < 1)
        """The engine draws from the likeliest tokens in their order; so it is here."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores that are 0 for the token drawn and -∞ for all others."""
        logits_BV = scores.float()
        if self.is_greedy:
            drawn_B = logits_BV.argmax(-1)
        else:
            place = input_ids.shape[1] - self.width
            uniform_B = torch.tensor(
                [uniform_at(seed, place) for seed in self.seeds],
                dtype=torch.float64,
                device=logits_BV.device,
            )
            probs_BV = self.warpers(input_ids, logits_BV).softmax(-1)
            if self.is_sorted:
                probs_BV, ids_BV = probs_BV.sort(descending=True, stable=True)
                place_B = draw_each(probs_BV, uniform_B)
                drawn_B = ids_BV.gather(1, place_B[:, None])[:, 0]
            else:
                drawn_B = draw_each(probs_BV, uniform_B)
        logprob_B = logits_BV.log_softmax(-1).gather(1, drawn_B[:, None])[:, 0]
        self.logprobs.append(logprob_B)
        only_BV = torch.full_like(scores, -torch.inf)
        return only_BV.scatter(1, drawn_B[:, None], 0.0)


def draw_each(probs_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Return, for each row, the place its number from [0, 1) falls on."""
    total_BV = probs_BV.double().cumsum(-1)
    wanted_B1 = total_BV[:, -1:] * uniform_B[:, None]
    place_B = torch.searchsorted(total_BV, wanted_B1, right=True)[:, 0]
    last_B = probs_BV.shape[1] - 1 - (probs_BV.flip(-1) > 0).int().argmax(-1)
    return torch.minimum(place_B, last_B)


class Asking(StoppingCriteria):
    """Ends all answers once the run shall stop."""

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self.is_stopped = is_stopped

    def __call__(self, input_ids: Tensor, *_: Any, **__: Any) -> Tensor:
        """Say for each answer whether it is over."""
        return torch.full(
            (input_ids.shape[0],), self.is_stopped(), device=input_ids.device
        )
