"""What a pretraining run costs, worked out from its spec before anything is built."""

from typing import Any, NamedTuple

from runspec.pretrain import PretrainSpec

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "family": "llama", "layers": 4, "heads": 4, "width": 128, "context": 128,
        "batch_size": 16, "max_steps": 1000, "learning_rate": 1e-3,
    },
    "small": {
        "family": "llama", "layers": 6, "heads": 6, "width": 288, "context": 256,
        "batch_size": 16, "max_steps": 5000, "learning_rate": 1e-3,
    },
    "medium": {
        "family": "llama", "layers": 8, "heads": 8, "width": 512, "context": 512,
        "batch_size": 16, "max_steps": 20_000, "learning_rate": 6e-4,
    },
    "GPT-2 124 M": {
        "family": "gpt2", "layers": 12, "heads": 12, "width": 768, "context": 1024,
        "batch_size": 16, "max_steps": 100_000, "learning_rate": 6e-4,
    },
}  # fmt: skip

EFFICIENCY = 0.4
"""Share of the measured matrix-product peak a training step reaches."""
ACTIVATION_WIDTHS = 34
"""Bytes per token, layer and unit of width kept for the backward pass in bf16
(Korthikanti et al. 2022, without the attention matrix, which is never stored)."""


class Estimate(NamedTuple):
    """What a run needs; bytes are for one device, gradients count as optimizer."""

    parameters: int
    weights_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    total_bytes: int
    tokens: int
    tokens_for_20_per_parameter: int
    flops: float
    seconds: float | None


def count_parameters(spec: PretrainSpec, vocabulary_size: int) -> int:
    """Count the weights of the model a spec describes."""
    width, inner = spec.width, spec.feed_forward_width
    embeddings = vocabulary_size * width * (1 if spec.tied_embeddings else 2)
    if spec.family == "gpt2":
        layer = 4 * width * width + 2 * width * inner + 9 * width + inner
        return embeddings + spec.context * width + spec.layers * layer + 2 * width
    shared = width // spec.heads * spec.num_kv_heads
    layer = 2 * width * width + 2 * width * shared + 3 * width * inner + 2 * width
    return embeddings + spec.layers * layer + width


def estimate(
    spec: PretrainSpec, *, vocabulary_size: int, peak_flops: float | None = None
) -> Estimate:
    """Estimate memory, tokens and, given a device's measured peak, time."""
    parameters = count_parameters(spec, vocabulary_size)
    tokens = spec.tokens_per_step * spec.max_steps
    batch_tokens = spec.batch_size * spec.context
    size = 4 if spec.precision == "fp32" else 2
    per_layer = ACTIVATION_WIDTHS * spec.width * size // 2
    activations = batch_tokens * (spec.layers * per_layer + 8 * vocabulary_size)
    weights, optimizer = 4 * parameters, 12 * parameters
    attention = 12 * spec.layers * spec.width * spec.context
    flops = float(tokens) * (6 * parameters + attention)
    return Estimate(
        parameters=parameters,
        weights_bytes=weights,
        optimizer_bytes=optimizer,
        activation_bytes=activations,
        total_bytes=weights + optimizer + activations,
        tokens=tokens,
        tokens_for_20_per_parameter=20 * parameters,
        flops=flops,
        seconds=flops / (peak_flops * EFFICIENCY * spec.num_devices)
        if peak_flops
        else None,
    )
