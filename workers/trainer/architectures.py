"""Build decoder-only models with random weights, as transformers' own classes.

The class of `transformers` owns parameters, saving and generation; training goes
through the leaner `trainer.forward`, which shares its parameters.
"""

from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch
from runspec import PretrainSpec
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

CausalModel: TypeAlias = PreTrainedModel
"""Here a `LlamaForCausalLM` or a `GPT2LMHeadModel`."""

NORM_EPS = 1e-5
INITIAL_STD, STD_WIDTH = 0.02, 768
"""Spread of random weights, as GPT-2 chose it for its width."""


class TokenIds(NamedTuple):
    """What a model has to know of its tokenizer."""

    vocabulary_size: int
    end: int
    """Ends a document, and so begins the next one."""


def build_model(spec: PretrainSpec, tokens: TokenIds) -> CausalModel:
    """Return a model in fp32 with random weights that follow from the seed."""
    torch.manual_seed(spec.seed)
    if spec.family == "gpt2":
        return GPT2LMHeadModel(_gpt2_config(spec, tokens))
    return LlamaForCausalLM(_llama_config(spec, tokens))


def load_model(folder: Path) -> CausalModel:
    """Load what `save_pretrained` of a model built here wrote."""
    from transformers import AutoModelForCausalLM

    model: CausalModel = AutoModelForCausalLM.from_pretrained(
        folder, use_safetensors=True, local_files_only=True
    )
    return model


def initial_std(width: int) -> float:
    """Return the spread of random weights that keeps products of any width alike.

    With the 0.02 of width 768, narrow models begin too quiet and learn late: at width
    128, 2,000 steps ended 0.14 nats per character higher, with each of three seeds.
    """
    return float(INITIAL_STD * (STD_WIDTH / width) ** 0.5)


def _gpt2_config(spec: PretrainSpec, tokens: TokenIds) -> GPT2Config:
    return GPT2Config(
        vocab_size=tokens.vocabulary_size,
        n_positions=spec.context,
        n_embd=spec.width,
        n_layer=spec.layers,
        n_head=spec.heads,
        n_inner=spec.feed_forward_width,
        resid_pdrop=spec.dropout,
        embd_pdrop=spec.dropout,
        attn_pdrop=spec.dropout,
        layer_norm_epsilon=NORM_EPS,
        initializer_range=initial_std(spec.width),
        tie_word_embeddings=spec.tied_embeddings,
        bos_token_id=tokens.end,
        eos_token_id=tokens.end,
        pad_token_id=tokens.end,
    )


def _llama_config(spec: PretrainSpec, tokens: TokenIds) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=tokens.vocabulary_size,
        max_position_embeddings=spec.context,
        hidden_size=spec.width,
        intermediate_size=spec.feed_forward_width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.num_kv_heads,
        rms_norm_eps=NORM_EPS,
        tie_word_embeddings=spec.tied_embeddings,
        bos_token_id=tokens.end,
        eos_token_id=tokens.end,
        pad_token_id=tokens.end,
    )


def num_parameters(model: nn.Module) -> int:
    """Count each parameter once, tied ones too."""
    return sum(parameter.numel() for parameter in model.parameters())


def decay_groups(
    model: nn.Module, weight_decay: float
) -> list[dict[str, list[nn.Parameter] | float]]:
    """Decay what multiplies (matrices, embeddings); never gains and biases."""
    parameters = list(model.parameters())
    return [
        {
            "params": [item for item in parameters if item.dim() >= 2],
            "weight_decay": weight_decay,
        },
        {
            "params": [item for item in parameters if item.dim() < 2],
            "weight_decay": 0.0,
        },
    ]
