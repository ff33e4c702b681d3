"""The processes that train one model together, and how they agree.

What they say to each other about the run (whether to stop, how many labels there are)
goes over gloo on the CPU, so that no GPU is waited for; gradients go over NCCL where
there are GPUs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

PATIENCE = timedelta(hours=12)
"""While one rank builds a token cache or writes samples the others wait; a rank that
dies is noticed by its launcher, not by this."""


@dataclass(frozen=True)
class Ranks:
    """This process among the `size` that train together; alone, all is at hand."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one speaks and saves for all."""
        return self.rank == 0

    def total(self, *numbers: float) -> list[float]:
        """Return the sums of `numbers` over all ranks, the same on each."""
        if self.size == 1:
            return list(numbers)
        import torch
        from torch import distributed

        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        return [float(number) for number in sums]

    def add_up(self, tensor: Any) -> None:
        """Replace a tensor, on whatever device, by its sum over all ranks."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(tensor)

    def say(self, value: Any) -> Any:
        """Return what the first rank has as `value`; JSON-like values only."""
        if self.size == 1:
            return value
        from torch import distributed

        held = [value]
        distributed.broadcast_object_list(held, src=0)
        return held[0]

    def collect(self, value: Any) -> list[Any]:
        """Return what each rank has as `value`, in order; empty but on the first."""
        if self.size == 1:
            return [value]
        from torch import distributed

        held: list[Any] | None = [None] * self.size if self.is_first else None
        distributed.gather_object(value, held)
        return held or []

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Let the first rank do it alone (fill a cache), and then the others."""
        if not self.is_first:
            self.total(0)
        try:
            yield
        finally:
            if self.is_first:
                self.total(0)


ALONE = Ranks()


def join_ranks() -> Ranks:
    """Meet the other ranks that the environment speaks of, as torchrun sets it.

    RANK, WORLD_SIZE and LOCAL_RANK; without them this process is alone.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not distributed.is_initialized():  # Ray has done it
        backends = process_backends(has_gpu=torch.cuda.is_available())
        distributed.init_process_group(backends, timeout=PATIENCE)
    return Ranks(distributed.get_rank(), size)


def process_backends(*, has_gpu: bool) -> str:
    """Return torch's name for gloo on the CPU, and NCCL where there are GPUs."""
    return "cpu:gloo,cuda:nccl" if has_gpu else "gloo"


def leave_ranks(ranks: Ranks) -> None:
    """Close the connections to the others; they may be gone already."""
    if ranks.size > 1:
        from torch import distributed

        distributed.destroy_process_group()
