"""The weighted sum of what several judges say of answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.rlhf.prompts import Asked

Judge = Callable[[Sequence[Asked], Sequence[str]], list[float]]
"""(what was asked, the answer to each) → a number for each answer."""


class Part(NamedTuple):
    """One judge."""

    title: str
    """What its curve is called, behind `train/reward/`."""
    weight: float
    judge: Judge


class Scored(NamedTuple):
    """Rewards of n answers."""

    total: Tensor
    """(n,): the weighted sum."""
    parts: dict[str, Tensor]
    """Title → (n,), before their weights."""


@dataclass(frozen=True)
class Rewards:
    """Rewards answers."""

    parts: tuple[Part, ...]

    def __call__(self, asked: Sequence[Asked], answers: Sequence[str]) -> Scored:
        """Return the rewards of answers, each to the prompt at its place, as fp32."""
        parts = {
            part.title: torch.tensor(part.judge(asked, answers), dtype=torch.float32)
            for part in self.parts
        }
        total = torch.zeros(len(answers))
        for part in self.parts:
            total = total + part.weight * parts[part.title]
        return Scored(total, parts)
