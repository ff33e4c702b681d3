"""What a step sees follows from seed and step; validation counts each token once."""

import numpy as np
import pytest
import torch
from runspec import PretrainSpec
from trainer.schedule import learning_rate
from trainer.windows import IGNORED, draw_windows, validation_batches

IDS = np.arange(1000, dtype="<u2")


def test_a_window_follows_from_seed_and_step():
    draw = {"count": 4, "context": 16}
    first, labels = draw_windows(IDS, **draw, seed=1, step=5)
    again, _ = draw_windows(IDS, **draw, seed=1, step=5)
    later, _ = draw_windows(IDS, **draw, seed=1, step=6)
    other, _ = draw_windows(IDS, **draw, seed=2, step=5)
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert not torch.equal(first, other)
    assert torch.equal(first + 1, labels)


def test_every_place_is_reached_and_none_beyond():
    ids = np.arange(40, dtype="<u2")
    seen = set()
    for step in range(200):
        inputs, labels = draw_windows(ids, count=4, context=8, seed=3, step=step)
        seen |= set(inputs.flatten().tolist()) | set(labels.flatten().tolist())
    assert seen == set(range(40))


@pytest.mark.parametrize("length", [2, 9, 17, 33, 100])
def test_validation_counts_each_token_once(length):
    ids = np.arange(length, dtype="<u2")
    labels = [
        label
        for _, batch in validation_batches(ids, batch_size=3, context=8, most=None)
        for label in batch.flatten().tolist()
        if label != IGNORED
    ]
    assert labels == list(range(1, length))


def test_fewer_batches_are_spread_evenly():
    batches = list(validation_batches(IDS, batch_size=2, context=10, most=5))
    starts = [int(inputs[0, 0]) for inputs, _ in batches]
    assert len(starts) == 5
    assert starts[0] == 0
    assert starts[-1] >= 950
    assert max(np.diff(starts)) <= 1.2 * min(np.diff(starts))


def test_no_validation_text_gives_no_batch():
    ids = np.empty(0, "<u2")
    assert not list(validation_batches(ids, batch_size=2, context=10, most=5))


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine():
    spec = PretrainSpec(
        dataset="1",
        tokenizer="1",
        max_steps=110,
        warmup_steps=10,
        learning_rate=1e-3,
        min_learning_rate=1e-4,
    )
    assert learning_rate(spec, 1) == pytest.approx(1e-4)
    assert learning_rate(spec, 10) == pytest.approx(1e-3)
    assert learning_rate(spec, 60) == pytest.approx(5.5e-4)
    assert learning_rate(spec, 110) == pytest.approx(1e-4)
