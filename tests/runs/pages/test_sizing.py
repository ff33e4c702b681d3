"""The estimate of a run's size, held against models that are really built."""

import pytest
import torch
from runspec import PretrainSpec
from runspec.sizing import PRESETS, count_parameters, estimate
from trainer.architectures import TokenIds, build_model, num_parameters

SHAPES = [
    {},
    {"family": "gpt2"},
    {"kv_heads": 2},
    {"tied_embeddings": False},
    {"family": "gpt2", "tied_embeddings": False},
    {"feed_forward": 200},
    *PRESETS.values(),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_are_counted_exactly(shape):
    spec = PretrainSpec(dataset="1", tokenizer="1", **shape)
    with torch.device("meta"):
        model = build_model(spec, TokenIds(vocabulary_size=300, end=1))
    assert count_parameters(spec, 300) == num_parameters(model)


def test_time_is_only_known_where_the_device_was_measured():
    spec = PretrainSpec(dataset="1", tokenizer="1")
    assert estimate(spec, vocabulary_size=300).seconds is None
    slow = estimate(spec, vocabulary_size=300, peak_flops=1e11).seconds
    fast = estimate(spec, vocabulary_size=300, peak_flops=2e11).seconds
    assert slow is not None
    assert fast is not None
    assert slow == pytest.approx(2 * fast)


def test_more_devices_do_not_take_more_time_for_the_same_steps():
    one = PretrainSpec(dataset="1", tokenizer="1")
    two = one.model_copy(update={"num_devices": 2})
    first = estimate(one, vocabulary_size=300, peak_flops=1e11)
    second = estimate(two, vocabulary_size=300, peak_flops=1e11)
    assert second.tokens == 2 * first.tokens
    assert second.seconds == pytest.approx(first.seconds)
