"""The batches of a step, and of an evaluation, under any objective.

Shapes: B sequences, T context, R tokens of text, U random numbers of a row.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from runspec import PretrainSpec

from trainer.loop import Batch
from trainer.objectives.denoising import Denoising
from trainer.objectives.masked import Masking
from trainer.objectives.pieces import continues_word, ends_sentence
from trainer.objectives.spans import SpanCorruption
from trainer.special_tokens import ModelTokenizer
from trainer.windows import (
    Ids,
    draw_rows,
    draw_uniforms,
    draw_windows,
    spread_batches,
    validation_batches,
)

EVALUATION_SEED, EVALUATION_STEP = 0, 2**62
"""The same gaps at every evaluation of every run: no step of training has this key."""
LEAST_ROW = 4
"""A shorter text leaves nothing to ask."""


class Objective(Protocol):
    """What makes inputs and labels of raw text."""

    @property
    def raw_tokens(self) -> int:
        """Tokens of text in one row."""

    def num_uniforms(self, raw_tokens: int) -> int:
        """Random numbers that corrupting a row of so many takes."""

    def corrupt(
        self, raw_BR: NDArray[np.int64], uniforms_BU: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return inputs and labels."""


class NextToken:
    """Nothing is hidden but what follows."""

    def __init__(self, context: int) -> None:
        self.context = context

    @property
    def raw_tokens(self) -> int:
        return self.context + 1

    def num_uniforms(self, raw_tokens: int) -> int:  # noqa: ARG002 - as the others
        return 0

    def corrupt(
        self,
        raw_BR: NDArray[np.int64],
        uniforms_BU: NDArray[np.float32],  # noqa: ARG002 - as the others
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return raw_BR[:, :-1], raw_BR[:, 1:]


def objective_of(spec: PretrainSpec, made: ModelTokenizer) -> Objective:
    """Return the objective of the spec's family, for its tokenizer."""
    tokenizer, special = made.tokenizer, made.special
    share = spec.share_corrupted
    match spec.facts.objective:
        case "masked":
            return Masking(
                spec.context,
                special,
                share=share,
                text_ids=text_ids(made),
                continues_word=continues_word(tokenizer) if spec.whole_words else None,
            )
        case "spans":
            return SpanCorruption(
                spec.context, special, share=share, mean_span=spec.mean_span_tokens
            )
        case "denoising":
            return Denoising(
                spec.context,
                special,
                share=share,
                mean_span=spec.mean_span_tokens,
                ends_sentence=ends_sentence(tokenizer)
                if spec.permute_sentences
                else None,
            )
        case _:
            return NextToken(spec.context)


def text_ids(made: ModelTokenizer) -> NDArray[np.int64]:
    """Return the ids that text is made of."""
    added = set(made.tokenizer.get_added_tokens_decoder())
    every = made.tokenizer.get_vocab(with_added_tokens=True).values()
    return np.array(sorted(set(every) - added - made.special.all), np.int64)


def training_batches(
    objective: Objective,
    ids: Ids,
    *,
    batch_size: int,
    count: int,
    rank: int,
    num_ranks: int,
    seed: int,
    step: int,
) -> list[Batch]:
    """Return the `count` rows a rank sees in a step, in batches.

    All ranks draw the same places, and each works on its own share of them.
    """
    if isinstance(objective, NextToken):
        inputs_BT, labels_BT = draw_windows(
            ids,
            count=count * num_ranks,
            context=objective.context,
            seed=seed,
            step=step,
        )
        mine = slice(rank * count, (rank + 1) * count)
        inputs_BT, labels_BT = inputs_BT[mine], labels_BT[mine]
    else:
        raw_BR = draw_rows(
            ids,
            count=count * num_ranks,
            length=objective.raw_tokens,
            seed=seed,
            step=step,
        )
        rows = range(rank * count, (rank + 1) * count)
        inputs_BT, labels_BT = _corrupt(
            objective, raw_BR[rows.start : rows.stop], seed=seed, step=step, rows=rows
        )
    return list(
        zip(inputs_BT.split(batch_size), labels_BT.split(batch_size), strict=True)
    )


def evaluation_batches(
    objective: Objective, ids: Ids, *, batch_size: int, most: int | None
) -> Iterator[Batch]:
    """Yield batches that go through a split in order, always with the same gaps.

    With `most`, only so many, spread evenly. The last piece is as long as the others,
    and so overlaps the one before; a split shorter than one piece is asked as it is.
    """
    if isinstance(objective, NextToken):
        yield from validation_batches(
            ids, batch_size=batch_size, context=objective.context, most=most
        )
        return
    length = min(objective.raw_tokens, len(ids))
    if length < LEAST_ROW:
        return
    num_windows = -(-len(ids) // length)
    for first, last in spread_batches(num_windows, batch_size, most):
        starts_B = np.minimum(np.arange(first, last) * length, len(ids) - length)
        raw_BR = ids[starts_B[:, None] + np.arange(length)]
        yield ask(objective, raw_BR, rows=range(first, last))


def ask(objective: Objective, raw_BR: NDArray[Any], *, rows: range) -> Batch:
    """Return what an evaluation makes of pieces of text, by their numbers."""
    return _corrupt(
        objective,
        raw_BR.astype(np.int64),
        seed=EVALUATION_SEED,
        step=EVALUATION_STEP,
        rows=rows,
    )


def _corrupt(
    objective: Objective,
    raw_BR: NDArray[np.int64],
    *,
    seed: int,
    step: int,
    rows: range,
) -> Batch:
    uniforms_BU = draw_uniforms(
        seed=seed,
        step=step,
        rows=rows,
        count=objective.num_uniforms(raw_BR.shape[1]),
    )
    inputs_BT, labels_BT = objective.corrupt(raw_BR, uniforms_BU)
    return torch.from_numpy(inputs_BT), torch.from_numpy(labels_BT)
