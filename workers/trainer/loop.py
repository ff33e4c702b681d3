"""The training loop: plain values in, numbers out.

Shapes: B sequences, T context.
"""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer.errors import NotFiniteError
from trainer.ranks import ALONE, Ranks

Batch = tuple[Tensor, Tensor]
"""(ids_BT, labels_BT)"""
MAX_NOT_FINITE = 3
"""Steps in a row whose loss is NaN or infinite before the run is ended."""
NOT_FINITE_ADVICE = (
    "Lower learning_rate, lengthen warmup_steps, or set precision to fp32."
)
READ_EVERY_S = 0.4
"""Losses stay on the device this long: reading one waits for all work before it."""
SPEED_SPAN = 0.9
"""Weight of the past in the smoothed speed."""


@dataclass(frozen=True)
class StepReport:
    """What one optimizer step did."""

    step: int
    loss: float
    """Nats per token."""
    gradient_norm: float
    """Before clipping."""
    learning_rate: float


@dataclass
class Trainer:
    """Takes optimizer steps; the caller decides what each sees and what to save."""

    forward: Callable[[Tensor, Tensor], Tensor]
    """(ids_BT, labels_BT) → summed loss; outside training it may add the number of
    right guesses."""
    model: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    clip_norm: float
    """0: not clipped."""
    is_bf16: bool
    ranks: Ranks = ALONE
    step: int = 0
    seconds_per_step: float | None = None
    """Smoothed, without pauses for evaluation and saving."""
    _unread: list[tuple[int, Tensor, Tensor, float]] = field(default_factory=list)
    _unread_since: float = 0.0
    _num_not_finite: int = 0

    def take_step(self, batches: Iterable[Batch], *, learning_rate: float) -> None:
        """Add up the gradients of `batches`, and step once."""
        if not self._unread:
            self._unread_since = time.monotonic()
        self.model.train()
        parts = list(batches)
        counted = sum(int((labels_BT >= 0).sum()) for _, labels_BT in parts)
        (num_labels,) = self.ranks.total(counted)
        loss = torch.zeros((), device=self.device)
        for number, (ids_BT, labels_BT) in enumerate(parts):
            with self.autocast(), self._exchange(is_last=number == len(parts) - 1):
                part = self.forward(
                    ids_BT.to(self.device, non_blocking=True),
                    labels_BT.to(self.device, non_blocking=True),
                )
                part = part / num_labels
                # Gradients are averaged over the ranks, and a mean over labels is due.
                (part * self.ranks.size).backward()
            loss += part.detach()
        self.ranks.add_up(loss)
        limit = self.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._unread.append((self.step, loss, norm, learning_rate))

    def _exchange(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Let the ranks exchange gradients with the last of the accumulated batches."""
        if is_last or not isinstance(self.forward, DistributedDataParallel):
            return nullcontext()
        return self.forward.no_sync()

    def autocast(self) -> torch.autocast:
        """Return the context in which the forward pass computes."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.is_bf16
        )

    @property
    def is_due(self) -> bool:
        """Whether it is time to read what the last steps did; the first at once."""
        if self.seconds_per_step is None:
            return True
        return time.monotonic() - self._unread_since > READ_EVERY_S

    def read(self) -> list[StepReport]:
        """Return what the steps since the last reading did."""
        if not self._unread:
            return []
        numbers = torch.stack(
            [torch.stack([loss, norm]) for _, loss, norm, _ in self._unread]
        ).tolist()
        self._measure(len(self._unread))
        reports = [
            StepReport(step, loss, norm, rate)
            for (step, _, _, rate), (loss, norm) in zip(
                self._unread, numbers, strict=True
            )
        ]
        self._unread = []
        return reports

    def _measure(self, num_steps: int) -> None:
        now = (time.monotonic() - self._unread_since) / num_steps
        before = self.seconds_per_step
        self.seconds_per_step = (
            now if before is None else SPEED_SPAN * before + (1 - SPEED_SPAN) * now
        )

    @property
    def is_finite(self) -> bool:
        """Whether the newest loss that was read is a number."""
        return self._num_not_finite == 0

    def check(self, report: StepReport) -> None:
        """Count losses that are not finite.

        Raises:
            NotFiniteError: there were several in a row.
        """
        is_finite = math.isfinite(report.loss) and math.isfinite(report.gradient_norm)
        self._num_not_finite = 0 if is_finite else self._num_not_finite + 1
        if self._num_not_finite >= MAX_NOT_FINITE:
            raise NotFiniteError(
                f"the loss was not finite for {MAX_NOT_FINITE} steps in a row, "
                f"up to step {report.step}",
                NOT_FINITE_ADVICE,
            )


class Measured(NamedTuple):
    """What an evaluation found, over the batches of all ranks."""

    loss: float | None
    """Nats per label; None where there is none."""
    accuracy: float | None
    """Share of the labels that were the likeliest; None where nobody counted."""


@torch.no_grad()
def measure(trainer: Trainer, batches: Iterable[Batch]) -> Measured:
    """Return loss and, where the forward pass counts it, accuracy."""
    trainer.model.eval()
    total = torch.zeros(2, device=trainer.device, dtype=torch.float64)
    num_labels, counts_guesses = 0, False
    for ids_BT, labels_BT in batches:
        with trainer.autocast():
            found = trainer.forward(
                ids_BT.to(trainer.device), labels_BT.to(trainer.device)
            )
        counts_guesses = found.dim() > 0
        total[: found.numel()] += found
        num_labels += int((labels_BT >= 0).sum())
    trainer.model.train()
    loss, right, count, is_counted = trainer.ranks.total(
        *total.tolist(), num_labels, counts_guesses
    )
    if not count:
        return Measured(None, None)
    return Measured(loss / count, right / count if is_counted else None)
