"""Which tokens each step sees: a function of seed and step alone.

So a resumed run needs no data position, and sees exactly what it would have seen.
Shapes: B sequences, T context.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.forward import IGNORED

Ids = NDArray[np.unsignedinteger]


def draw_windows(
    ids: Ids, *, count: int, context: int, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Return `count` windows at random places, as inputs and labels (B, T).

    A counter-based generator (Philox) keyed by seed and step: no state is carried.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, step]))
    starts_B = generator.integers(0, len(ids) - context, size=count)
    places_BT = starts_B[:, None] + np.arange(context + 1)
    taken_BT = torch.from_numpy(ids[places_BT].astype(np.int64))
    return taken_BT[:, :-1], taken_BT[:, 1:]


def validation_batches(
    ids: Ids, *, batch_size: int, context: int, most: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches that go through a split in order, each token a label once.

    With `most`, only so many batches, spread evenly over the split. The rest of the
    last window is padded with labels that count for nothing.
    """
    num_windows = max(0, -(-(len(ids) - 1) // context))
    num_batches = -(-num_windows // batch_size)
    chosen: NDArray[np.int64] = np.arange(num_batches)
    if most is not None and most < num_batches:
        chosen = np.linspace(0, num_batches - 1, most).round().astype(np.int64)
    for number in chosen.tolist():
        first = number * batch_size
        yield _stack(ids, first, min(first + batch_size, num_windows), context)


def _stack(ids: Ids, first: int, last: int, context: int) -> tuple[Tensor, Tensor]:
    inputs = np.zeros((last - first, context), np.int64)
    labels = np.full((last - first, context), IGNORED, np.int64)
    for row, window in enumerate(range(first, last)):
        piece = ids[window * context : (window + 1) * context + 1].astype(np.int64)
        inputs[row, : len(piece) - 1] = piece[:-1]
        labels[row, : len(piece) - 1] = piece[1:]
    return torch.from_numpy(inputs), torch.from_numpy(labels)
