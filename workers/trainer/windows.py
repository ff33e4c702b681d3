"""Which tokens each step sees: a function of seed and step alone.

So a resumed run needs no data position, and sees exactly what it would have seen.
Shapes: B sequences, T context, R tokens of text, U random numbers of a row.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.forward import IGNORED

Ids = NDArray[np.unsignedinteger]


def draw_rows(
    ids: Ids, *, count: int, length: int, seed: int, step: int
) -> NDArray[np.int64]:
    """Return `count` pieces of the text at random places (B, R).

    A counter-based generator (Philox) keyed by seed and step: no state is carried.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, step]))
    starts_B = generator.integers(0, len(ids) - length + 1, size=count)
    drawn: NDArray[np.int64] = ids[starts_B[:, None] + np.arange(length)].astype(
        np.int64
    )
    return drawn


def draw_windows(
    ids: Ids, *, count: int, context: int, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Return `count` windows at random places, as inputs and labels (B, T)."""
    taken = draw_rows(ids, count=count, length=context + 1, seed=seed, step=step)
    taken_BT = torch.from_numpy(taken)
    return taken_BT[:, :-1], taken_BT[:, 1:]


def draw_uniforms(
    *, seed: int, step: int, rows: Iterable[int], count: int
) -> NDArray[np.float32]:
    """Return `count` numbers in [0, 1) for each row of a step (B, U).

    Each row has a counter of its own, far from that of the places: what becomes of a
    row is the same in whatever batch, and on whatever rank, it is worked on.
    """
    return np.stack(
        [
            np.random.Generator(
                np.random.Philox(key=[seed, step], counter=[0, 0, 0, 1 + row])
            ).random(count, dtype=np.float32)
            for row in rows
        ]
    )


def validation_batches(
    ids: Ids, *, batch_size: int, context: int, most: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches that go through a split in order, each token a label once.

    With `most`, only so many batches, spread evenly over the split. The rest of the
    last window is padded with labels that count for nothing.
    """
    num_windows = max(0, -(-(len(ids) - 1) // context))
    for first, last in spread_batches(num_windows, batch_size, most):
        yield _stack(ids, first, last, context)


def spread_batches(
    num_windows: int, batch_size: int, most: int | None
) -> Iterator[tuple[int, int]]:
    """Yield the windows of each batch, as first and behind the last."""
    num_batches = -(-num_windows // batch_size)
    chosen: NDArray[np.int64] = np.arange(num_batches)
    if most is not None and most < num_batches:
        chosen = np.linspace(0, num_batches - 1, most).round().astype(np.int64)
    for number in chosen.tolist():
        first = number * batch_size
        yield first, min(first + batch_size, num_windows)


def _stack(ids: Ids, first: int, last: int, context: int) -> tuple[Tensor, Tensor]:
    inputs = np.zeros((last - first, context), np.int64)
    labels = np.full((last - first, context), IGNORED, np.int64)
    for row, window in enumerate(range(first, last)):
        piece = ids[window * context : (window + 1) * context + 1].astype(np.int64)
        inputs[row, : len(piece) - 1] = piece[:-1]
        labels[row, : len(piece) - 1] = piece[1:]
    return torch.from_numpy(inputs), torch.from_numpy(labels)
