"""What a pretraining run costs, worked out from its spec before anything is built."""

from typing import Any, NamedTuple

from runspec.pretrain import GATED, PretrainSpec
from runspec.spans import num_sentinels, raw_tokens, span_lengths

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
    "Mixtral tiny": {
        "family": "mixtral", "layers": 4, "heads": 4, "width": 128, "context": 128,
        "experts": 4, "experts_per_token": 2,
        "batch_size": 16, "max_steps": 1000, "learning_rate": 1e-3,
    },
    "BERT tiny": {
        "family": "bert", "layers": 4, "heads": 4, "width": 128, "context": 128,
        "batch_size": 16, "max_steps": 2000, "learning_rate": 1e-3,
    },
    "BERT base": {
        "family": "bert", "layers": 12, "heads": 12, "width": 768, "context": 512,
        "batch_size": 16, "accumulation": 16, "max_steps": 100_000,
        "learning_rate": 1e-4, "min_learning_rate": 0.0, "warmup_steps": 10_000,
    },
    "RoBERTa small": {
        "family": "roberta", "layers": 6, "heads": 8, "width": 256, "context": 256,
        "batch_size": 16, "max_steps": 10_000, "learning_rate": 6e-4,
    },
    "ModernBERT small": {
        "family": "modernbert", "layers": 6, "heads": 8, "width": 256, "context": 512,
        "batch_size": 16, "max_steps": 10_000, "learning_rate": 8e-4,
    },
    "T5 tiny": {
        "family": "t5", "layers": 3, "heads": 4, "width": 128, "context": 128,
        "batch_size": 16, "max_steps": 2000, "learning_rate": 2e-3,
    },
    "T5 v1.1 base": {
        "family": "t5", "layers": 12, "heads": 12, "width": 768, "context": 512,
        "batch_size": 16, "accumulation": 8, "max_steps": 65_536,
        "learning_rate": 2e-3, "warmup_steps": 10_000,
    },
    "BART tiny": {
        "family": "bart", "layers": 3, "heads": 4, "width": 128, "context": 128,
        "batch_size": 16, "max_steps": 2000, "learning_rate": 1e-3,
    },
    "BART base": {
        "family": "bart", "layers": 6, "heads": 12, "width": 768, "context": 512,
        "batch_size": 16, "accumulation": 8, "max_steps": 100_000,
        "learning_rate": 4e-4, "warmup_steps": 10_000,
    },
}  # fmt: skip

EFFICIENCY = 0.4
"""Share of the measured matrix-product peak a training step reaches."""
ACTIVATION_WIDTHS = 34
"""Bytes per token, layer and unit of width kept for the backward pass in bf16
(Korthikanti et al. 2022, without the attention matrix, which is never stored)."""
LABELLED_ROOM = 1.25
"""Of the tokens an encoder is asked for: whole words do not end where they should."""
RELATIVE_BUCKETS = 32
"""Distances T5 tells apart."""
ROBERTA_PLACES = 8
"""Rows of RoBERTa's positions before the first: it counts from behind the padding
token's id, which is below this in tokenizers that learn."""


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


class Parts(NamedTuple):
    """A model's parameters, by how often each is used."""

    tables: int
    """Looked up: embeddings of tokens and positions, and what is not multiplied."""
    reader: int
    """Used once for each input token: the blocks of an encoder or a decoder."""
    writer: int
    """Used once for each target token of an encoder-decoder."""
    idle: int
    """Experts that a token does not use."""
    head: int
    """Used once for each token with a label; nothing where it shares a table."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def most_labels(spec: PretrainSpec, tokens: int) -> int:
    """Return how many tokens of so many an encoder can be asked for."""
    return min(tokens, int(LABELLED_ROOM * spec.share_corrupted * tokens) + 2)


def model_vocabulary(spec: PretrainSpec, vocabulary_size: int) -> int:
    """Return the rows of a model's embeddings: those of its tokenizer, and T5's own."""
    if spec.family != "t5" or spec.base_model:
        return vocabulary_size
    return vocabulary_size + num_sentinels(
        spec.context, spec.share_corrupted, spec.mean_span_tokens
    )


def count_parameters(spec: PretrainSpec, vocabulary_size: int) -> int:
    """Count the weights of the model a spec describes."""
    return parts_of(spec, vocabulary_size).total


def parts_of(spec: PretrainSpec, vocabulary_size: int) -> Parts:
    """Count the weights by their use; `vocabulary_size` is the model's."""
    count = {
        "gpt2": _gpt2,
        "bert": _bert,
        "roberta": _bert,
        "modernbert": _modernbert,
        "t5": _t5,
        "bart": _bart,
    }
    return count.get(spec.family, _llama)(spec, vocabulary_size)


def _llama(spec: PretrainSpec, vocabulary: int) -> Parts:
    """Mixtral as well: its feed-forward layers are chosen from several."""
    width, layers = spec.width, spec.layers
    shared = width // spec.heads * spec.num_kv_heads
    feed_forward = 3 * width * spec.feed_forward_width
    used, router, idle = 1, 0, 0
    if spec.family == "mixtral":
        used, router = spec.experts_per_token, width * spec.experts
        idle = (spec.experts - used) * feed_forward
    layer = 2 * width * width + 2 * width * shared + used * feed_forward + router
    return Parts(
        tables=vocabulary * width + width,
        reader=layers * (layer + 2 * width),
        writer=0,
        idle=layers * idle,
        head=0 if spec.tied_embeddings else vocabulary * width,
    )


def _gpt2(spec: PretrainSpec, vocabulary: int) -> Parts:
    width, inner = spec.width, spec.feed_forward_width
    layer = 4 * width * width + 2 * width * inner + 9 * width + inner
    return Parts(
        tables=(vocabulary + spec.context) * width + 2 * width,
        reader=spec.layers * layer,
        writer=0,
        idle=0,
        head=0 if spec.tied_embeddings else vocabulary * width,
    )


def _bert(spec: PretrainSpec, vocabulary: int) -> Parts:
    width, inner = spec.width, spec.feed_forward_width
    places, types = spec.context, 2
    if spec.family == "roberta":
        places, types = spec.context + ROBERTA_PLACES, 1
    layer = 4 * (width * width + width) + 2 * width * inner + inner + 5 * width
    return Parts(
        tables=(vocabulary + places + types) * width + 2 * width,
        reader=spec.layers * layer,
        writer=0,
        idle=0,
        head=width * width + 3 * width + vocabulary,
    )


def _modernbert(spec: PretrainSpec, vocabulary: int) -> Parts:
    width = spec.width
    layer = 4 * width * width + 3 * width * spec.feed_forward_width + 2 * width
    return Parts(
        tables=vocabulary * width + width,
        reader=spec.layers * layer,  # the first block has no norm, the last one more
        writer=0,
        idle=0,
        head=width * width + width + vocabulary,
    )


def _t5(spec: PretrainSpec, vocabulary: int) -> Parts:
    width = spec.width
    feed_forward = 3 * width * spec.feed_forward_width
    return Parts(
        tables=vocabulary * width + 2 * (RELATIVE_BUCKETS * spec.heads + width),
        reader=spec.layers * (4 * width * width + feed_forward + 2 * width),
        writer=spec.layers * (8 * width * width + feed_forward + 3 * width),
        idle=0,
        head=0,
    )


def _bart(spec: PretrainSpec, vocabulary: int) -> Parts:
    width, inner = spec.width, spec.feed_forward_width
    attention = 4 * (width * width + width)
    feed_forward = 2 * width * inner + inner + width
    positions = 2 * (spec.context + 2) * width  # transformers keeps two rows more
    return Parts(
        tables=vocabulary * width + positions + 4 * width,
        reader=spec.layers * (attention + feed_forward + 4 * width),
        writer=spec.layers * (2 * attention + feed_forward + 6 * width),
        idle=0,
        head=0,
    )


class RowLengths(NamedTuple):
    """How many tokens of each kind one row of a batch has."""

    read: int
    written: int
    """Targets of an encoder-decoder; nothing elsewhere."""
    labelled: int
    """Tokens with a prediction."""


def row_lengths(spec: PretrainSpec) -> RowLengths:
    """Return what the objective makes of one row."""
    match spec.facts.objective:
        case "masked":
            return RowLengths(spec.context, 0, most_labels(spec, spec.context))
        case "spans":
            share, span = spec.share_corrupted, spec.mean_span_tokens
            raw = raw_tokens(spec.context, share, span)
            lengths = span_lengths(raw, share, span)
            return RowLengths(lengths.inputs, lengths.targets, lengths.targets)
        case "denoising":
            return RowLengths(spec.context, spec.context, spec.context)
        case _:
            return RowLengths(spec.context, 0, spec.context)


def matrix_flops(spec: PretrainSpec, vocabulary_size: int) -> float:
    """Return what one step computes in matrix products, 6 for each weight and token.

    A decoder's embeddings count as in 6·N·tokens, which is what others compare with.
    """
    parts, lengths = parts_of(spec, vocabulary_size), row_lengths(spec)
    if spec.facts.architecture == "decoder":
        row = lengths.read * (parts.total - parts.idle)
    else:
        head = max(parts.head, vocabulary_size * spec.width)
        row = (
            lengths.read * parts.reader
            + lengths.written * parts.writer
            + lengths.labelled * head
        )
    rows = spec.batch_size * spec.accumulation * spec.num_devices
    return 6.0 * rows * row


def _attention_flops(spec: PretrainSpec) -> float:
    """Return what one step computes between tokens, the masked halves as well."""
    read, written, _ = row_lengths(spec)
    near = min(read, 128)
    pairs = read * read
    if spec.family == "modernbert":
        pairs = read * (read + 2 * near) // 3  # two blocks of three look about only
    pairs += written * written + written * read
    rows = spec.batch_size * spec.accumulation * spec.num_devices
    return 12.0 * rows * spec.layers * spec.width * pairs


def _activation_bytes(spec: PretrainSpec, vocabulary_size: int) -> int:
    """Return what one batch keeps for the backward pass."""
    size = 4 if spec.precision == "fp32" else 2
    read, written, labelled = row_lengths(spec)
    widths = float(ACTIVATION_WIDTHS)
    if spec.family in GATED and spec.family != "llama":
        used = spec.experts_per_token if spec.family == "mixtral" else 1
        inner = 3 * used * spec.feed_forward_width / spec.width
        widths = ACTIVATION_WIDTHS - 16 + 2 * inner
    per_layer = widths * spec.width * size / 2
    # A block that also looks at the input keeps about half as much again.
    tokens = read + 1.5 * written
    scores = 0.0
    if spec.family == "t5":  # its biased attention is stored
        pairs = read * read + written * written + written * read
        scores = float(spec.layers * spec.heads * pairs * (4 + 2 * size))
    row = tokens * spec.layers * per_layer + scores + 8 * labelled * vocabulary_size
    return int(spec.batch_size * row)


def estimate(
    spec: PretrainSpec, *, vocabulary_size: int, peak_flops: float | None = None
) -> Estimate:
    """Estimate memory, tokens and, given a device's measured peak, time.

    `vocabulary_size` is the tokenizer's. For a base model the spec's shape must have
    been filled in from its configuration (`runspec.families.shape_of`).
    """
    vocabulary = model_vocabulary(spec, vocabulary_size)
    parameters = count_parameters(spec, vocabulary)
    tokens = spec.tokens_per_step * spec.max_steps
    activations = _activation_bytes(spec, vocabulary)
    weights, optimizer = 4 * parameters, 12 * parameters
    flops = spec.max_steps * (matrix_flops(spec, vocabulary) + _attention_flops(spec))
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
