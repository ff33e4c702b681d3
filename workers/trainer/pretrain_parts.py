"""All a pretraining run is made of, built the same way for its preflight."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from runspec import PretrainSpec
from runspec.sizing import matrix_flops
from runspec.spans import num_sentinels

from trainer.architectures import (
    LanguageModel,
    TokenIds,
    build_model,
    decay_groups,
    num_parameters,
)
from trainer.base_model import load_base_model, with_shape
from trainer.context import Context, Reporter
from trainer.errors import BadInputError
from trainer.fill_gaps import fill_samples
from trainer.generate import write_samples
from trainer.hardware import choose_precision
from trainer.objectives import Objective, objective_of
from trainer.special_tokens import ModelTokenizer, tokenizer_for
from trainer.token_cache import Corpus, open_corpus

COMPILE_COST_S = 60.0
COMPILE_GAIN = 0.12
"""Share of the time that compiling saved in measurements (docs/LOG.md)."""
EAGER_EFFICIENCY = 0.35
"""Share of the matrix-product peak an eager step reached in measurements."""
NEVER_COMPILED = {"mixtral"}
"""Families that `auto` leaves alone: which experts work depends on the tokens."""


@dataclass(frozen=True)
class Parts:
    """What a spec comes down to before any weight is made."""

    spec: PretrainSpec
    """With the shape of the base model, where there is one."""
    spec_sha256: str
    """Of the spec as it was given."""
    corpus: Corpus
    tokenizer: ModelTokenizer
    objective: Objective


def build_parts(spec: PretrainSpec, context: Context) -> Parts:
    """Read the tokenizer and map the text; nothing is trained yet.

    Raises:
        BadInputError: the text is too short, or the base model does not fit.
    """
    spec_sha256, spec = spec.sha256(), with_shape(spec)
    folder = Path(spec.base_model or spec.tokenizer or "")
    made = tokenizer_for(
        folder,
        spec.family,
        num_sentinels=num_sentinels(
            spec.context, spec.share_corrupted, spec.mean_span_tokens
        ),
    )
    objective = objective_of(spec, made)
    with context.ranks.first_goes_ahead():
        corpus = open_corpus(Path(spec.dataset), folder, context)
    if len(corpus.train_ids) <= objective.raw_tokens:
        raise BadInputError(
            f"the training text has {len(corpus.train_ids)} tokens, which is not more "
            f"than one window of {spec.context}",
            "Bring more text, or choose a shorter context.",
        )
    return Parts(spec, spec_sha256, corpus, made, objective)


def build_model_of(parts: Parts, report: Reporter) -> LanguageModel:
    """Return the model in fp32: random weights, or those of the base model."""
    if parts.spec.base_model is None:
        return build_model(parts.spec, token_ids(parts.tokenizer))
    return load_base_model(parts.spec, parts.tokenizer, report)


def optimizer_of(spec: PretrainSpec, model: LanguageModel) -> torch.optim.AdamW:
    """Return AdamW as the spec sets it."""
    return torch.optim.AdamW(
        decay_groups(model, spec.weight_decay),
        lr=spec.learning_rate,
        betas=(spec.beta1, spec.beta2),
        fused=True,
    )


def samples_of(
    parts: Parts, model: LanguageModel, *, step: int, stop: threading.Event
) -> Iterator[tuple[str, str]]:
    """Yield prompts with what a model of the family makes of them."""
    spec = parts.spec
    if spec.facts.architecture == "decoder":
        return write_samples(
            model,
            parts.tokenizer.tokenizer,
            prompts=spec.sample_prompts,
            num_tokens=spec.sample_tokens,
            end=parts.corpus.end,
            seed=spec.seed + step,
            stop=stop,
        )
    return fill_samples(
        model,
        parts.tokenizer,
        parts.objective,
        spec,
        text=parts.corpus.sample_ids,
        stop=stop,
    )


def token_ids(made: ModelTokenizer) -> TokenIds:
    """Return what a model has to know of its tokenizer."""
    special = made.special
    return TokenIds(
        made.vocabulary_size,
        end=special.end,
        pad=special.pad,
        start=special.start,
        close=special.close,
    )


def flops_per_token(spec: PretrainSpec, model: LanguageModel) -> float:
    """Return what matrix products compute for each token of a step."""
    if spec.family in {"llama", "gpt2"}:
        return 6.0 * num_parameters(model)
    vocabulary_size = int(model.config.vocab_size)
    return matrix_flops(spec, vocabulary_size) / spec.tokens_per_step


def pays_to_compile(
    spec: PretrainSpec, flops_of_token: float, peaks: dict[str, float]
) -> bool:
    """Whether torch.compile is asked for, or `auto` and the run long enough."""
    if spec.compile != "auto":
        return spec.compile == "on"
    if spec.family in NEVER_COMPILED:
        return False
    peak = peaks[choose_precision(spec.precision, peaks)]
    tokens = spec.max_steps * spec.tokens_per_step
    eager_s = flops_of_token * tokens / (EAGER_EFFICIENCY * peak)
    return COMPILE_GAIN * eager_s > COMPILE_COST_S
