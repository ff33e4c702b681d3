"""The lean forward pass gives the numbers of transformers' own."""

import pytest
import torch
from runspec import PretrainSpec
from runspec.sizing import PRESETS, count_parameters, estimate
from trainer.architectures import (
    TokenIds,
    build_model,
    decay_groups,
    initial_std,
    num_parameters,
)
from trainer.forward import IGNORED, TrainingForward

VOCABULARY = 61
SHAPES = {
    "llama": {},
    "llama, shared keys": {"kv_heads": 2},
    "llama, own output": {"tied_embeddings": False},
    "llama, wide": {"feed_forward": 200},
    "gpt2": {"family": "gpt2"},
    "gpt2, own output": {"family": "gpt2", "tied_embeddings": False},
}


def spec_of(changes) -> PretrainSpec:
    values = {"layers": 3, "heads": 4, "width": 64, "context": 32}
    return PretrainSpec(dataset="1", tokenizer="1", **values, **changes)


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def spec(request) -> PretrainSpec:
    return spec_of(request.param)


def test_loss_and_gradients_are_those_of_transformers(spec):
    model = build_model(spec, TokenIds(VOCABULARY, 0))
    ids_BT = torch.randint(0, VOCABULARY, (3, 33))
    inputs_BT, labels_BT = ids_BT[:, :-1], ids_BT[:, 1:].clone()
    labels_BT[0, -5:] = IGNORED
    model.train()
    ours = TrainingForward(model)(inputs_BT, labels_BT)
    ours.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    logits_BTV = model(inputs_BT).logits
    theirs = torch.nn.functional.cross_entropy(
        logits_BTV.flatten(0, 1).float(), labels_BT.flatten(), reduction="sum"
    )
    theirs.backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    for mine, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=1e-3, atol=1e-4)


def test_the_estimate_counts_the_models_parameters(spec):
    model = build_model(spec, TokenIds(VOCABULARY, 0))
    assert count_parameters(spec, VOCABULARY) == num_parameters(model)


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_a_valid_spec(name):
    spec = PretrainSpec(dataset="1", tokenizer="1", **PRESETS[name])
    cost = estimate(spec, vocabulary_size=8192, peak_flops=1e12)
    assert cost.parameters > 0
    assert cost.total_bytes > cost.weights_bytes
    assert cost.seconds > 0


def test_the_same_seed_gives_the_same_weights():
    first = build_model(spec_of({"seed": 1}), TokenIds(VOCABULARY, 0))
    again = build_model(spec_of({"seed": 1}), TokenIds(VOCABULARY, 0))
    other = build_model(spec_of({"seed": 2}), TokenIds(VOCABULARY, 0))
    weights = [next(model.parameters()) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_only_matrices_decay(spec):
    model = build_model(spec, TokenIds(VOCABULARY, 0))
    decayed, kept = decay_groups(model, 0.1)
    assert all(item.dim() >= 2 for item in decayed["params"])
    assert all(item.dim() < 2 for item in kept["params"])
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    count = len(decayed["params"]) + len(kept["params"])
    assert count == len(list(model.parameters()))


def test_random_weights_spread_as_gpt2s_at_its_width_and_wider_below():
    assert initial_std(768) == 0.02
    model = build_model(spec_of({"family": "gpt2"}), TokenIds(VOCABULARY, 0))
    found = model.transformer.wte.weight.std().item()
    assert found == pytest.approx(initial_std(64), rel=0.05)
    assert found > 3 * initial_std(768)
