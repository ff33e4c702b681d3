"""Build models of every family with random weights, as transformers' own classes.

The class of `transformers` owns parameters, saving and generation. Llama and GPT-2
train through the leaner `trainer.forward`, which shares its parameters.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from runspec import PretrainSpec
from runspec.sizing import RELATIVE_BUCKETS, ROBERTA_PLACES
from torch import nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from trainer.errors import BadInputError

LanguageModel: TypeAlias = PreTrainedModel
"""Here one of the classes imported above."""

NORM_EPS = 1e-5
INITIAL_STD, STD_WIDTH = 0.02, 768
"""Spread of random weights, as GPT-2 chose it for its width."""
ROUTER_LOSS = 0.02
"""Weight of the loss that keeps experts evenly used, as Mixtral 8x7B has it."""
MAX_ROBERTA_PAD = 1000
"""RoBERTa keeps a row of positions for each id up to its padding token's."""


class TokenIds(NamedTuple):
    """What a model has to know of its tokenizer."""

    vocabulary_size: int
    end: int
    """Ends a document, and so begins the next one."""
    pad: int | None = None
    """None: the end token."""
    start: int | None = None
    close: int | None = None

    @property
    def pad_id(self) -> int:
        """The padding token, filled in."""
        return self.end if self.pad is None else self.pad


def build_model(spec: PretrainSpec, tokens: TokenIds) -> LanguageModel:
    """Return a model in fp32 with random weights that follow from the seed.

    Raises:
        BadInputError: the tokenizer does not suit the family.
    """
    torch.manual_seed(spec.seed)
    build: dict[str, Callable[[PretrainSpec, TokenIds], LanguageModel]] = {
        "llama": lambda *given: LlamaForCausalLM(_llama_config(*given)),
        "gpt2": lambda *given: GPT2LMHeadModel(_gpt2_config(*given)),
        "mixtral": lambda *given: MixtralForCausalLM(_mixtral_config(*given)),
        "bert": lambda *given: BertForMaskedLM(_bert_config(*given)),
        "roberta": lambda *given: RobertaForMaskedLM(_roberta_config(*given)),
        "modernbert": lambda *given: ModernBertForMaskedLM(_modernbert_config(*given)),
        "t5": lambda *given: T5ForConditionalGeneration(_t5_config(*given)),
        "bart": lambda *given: BartForConditionalGeneration(_bart_config(*given)),
    }
    model = build[spec.family](spec, tokens)
    if spec.facts.architecture == "encoder-decoder":
        model.generation_config = _generation_config(spec, tokens)
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
        pad_token_id=tokens.pad_id,
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
        pad_token_id=tokens.pad_id,
    )


def _mixtral_config(spec: PretrainSpec, tokens: TokenIds) -> MixtralConfig:
    return MixtralConfig(
        vocab_size=tokens.vocabulary_size,
        max_position_embeddings=spec.context,
        hidden_size=spec.width,
        intermediate_size=spec.feed_forward_width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.num_kv_heads,
        num_local_experts=spec.experts,
        num_experts_per_tok=spec.experts_per_token,
        router_aux_loss_coef=ROUTER_LOSS,
        rms_norm_eps=NORM_EPS,
        initializer_range=initial_std(spec.width),
        tie_word_embeddings=spec.tied_embeddings,
        bos_token_id=tokens.end,
        eos_token_id=tokens.end,
        pad_token_id=tokens.pad_id,
    )


def _bert_values(spec: PretrainSpec, tokens: TokenIds) -> dict[str, object]:
    return {
        "vocab_size": tokens.vocabulary_size,
        "hidden_size": spec.width,
        "intermediate_size": spec.feed_forward_width,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "hidden_dropout_prob": spec.dropout,
        "attention_probs_dropout_prob": spec.dropout,
        "initializer_range": initial_std(spec.width),
        "pad_token_id": tokens.pad_id,
        "bos_token_id": tokens.start,
        "eos_token_id": tokens.end,
    }


def _bert_config(spec: PretrainSpec, tokens: TokenIds) -> BertConfig:
    values = _bert_values(spec, tokens)
    return BertConfig(max_position_embeddings=spec.context, **values)


def _roberta_config(spec: PretrainSpec, tokens: TokenIds) -> RobertaConfig:
    if tokens.pad_id > MAX_ROBERTA_PAD:
        raise BadInputError(
            f"the padding token of this tokenizer has the id {tokens.pad_id:,}, and "
            "RoBERTa would keep so many unused positions",
            "Train a tokenizer in this project, which puts it in front, or choose the "
            "family bert.",
        )
    return RobertaConfig(
        max_position_embeddings=spec.context + max(ROBERTA_PLACES, tokens.pad_id + 1),
        type_vocab_size=1,
        **_bert_values(spec, tokens),
    )


def _modernbert_config(spec: PretrainSpec, tokens: TokenIds) -> ModernBertConfig:
    return ModernBertConfig(
        vocab_size=tokens.vocabulary_size,
        max_position_embeddings=spec.context,
        hidden_size=spec.width,
        intermediate_size=spec.feed_forward_width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        attention_dropout=spec.dropout,
        embedding_dropout=spec.dropout,
        mlp_dropout=spec.dropout,
        initializer_range=initial_std(spec.width),
        pad_token_id=tokens.pad_id,
        bos_token_id=tokens.start,
        eos_token_id=tokens.end,
        cls_token_id=tokens.start,
        sep_token_id=tokens.close,
    )


def _t5_config(spec: PretrainSpec, tokens: TokenIds) -> T5Config:
    return T5Config(
        vocab_size=tokens.vocabulary_size,
        d_model=spec.width,
        d_kv=spec.width // spec.heads,
        d_ff=spec.feed_forward_width,
        num_layers=spec.layers,
        num_heads=spec.heads,
        relative_attention_num_buckets=RELATIVE_BUCKETS,
        dropout_rate=spec.dropout,
        feed_forward_proj="gated-gelu",
        pad_token_id=tokens.pad_id,
        eos_token_id=tokens.end,
        decoder_start_token_id=tokens.pad_id,
    )


def _bart_config(spec: PretrainSpec, tokens: TokenIds) -> BartConfig:
    return BartConfig(
        vocab_size=tokens.vocabulary_size,
        max_position_embeddings=spec.context,
        d_model=spec.width,
        encoder_layers=spec.layers,
        decoder_layers=spec.layers,
        encoder_attention_heads=spec.heads,
        decoder_attention_heads=spec.heads,
        encoder_ffn_dim=spec.feed_forward_width,
        decoder_ffn_dim=spec.feed_forward_width,
        dropout=spec.dropout,
        attention_dropout=spec.dropout,
        init_std=initial_std(spec.width),
        pad_token_id=tokens.pad_id,
        bos_token_id=tokens.start,
        eos_token_id=tokens.end,
        decoder_start_token_id=tokens.end,
        forced_eos_token_id=None,
    )


def _generation_config(spec: PretrainSpec, tokens: TokenIds) -> GenerationConfig:
    """Return how an encoder-decoder begins and ends what it writes."""
    is_bart = spec.family == "bart"
    return GenerationConfig(
        pad_token_id=tokens.pad_id,
        eos_token_id=tokens.end,
        bos_token_id=tokens.start,
        decoder_start_token_id=tokens.end if is_bart else tokens.pad_id,
        forced_bos_token_id=tokens.start if is_bart else None,
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
