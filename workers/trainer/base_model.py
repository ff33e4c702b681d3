"""Going on from a model that is there: what it is, whether it fits, its weights."""

import json
from pathlib import Path
from typing import Any

import torch
from runspec import PretrainSpec
from runspec.families import FAMILIES, family_of, shape_of
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
)

from trainer.architectures import LanguageModel
from trainer.context import Reporter
from trainer.errors import BadInputError
from trainer.special_tokens import ModelTokenizer

CLASSES = {
    "decoder": AutoModelForCausalLM,
    "encoder": AutoModelForMaskedLM,
    "encoder-decoder": AutoModelForSeq2SeqLM,
}
DROPOUTS = {
    "gpt2": ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "roberta": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "modernbert": ("attention_dropout", "embedding_dropout", "mlp_dropout"),
    "t5": ("dropout_rate",),
    "bart": ("dropout", "attention_dropout"),
}
NAMED_AT_MOST = 3


def with_shape(spec: PretrainSpec) -> PretrainSpec:
    """Return the spec with the shape of its base model filled in.

    Raises:
        BadInputError: the model is of another family, or sees fewer tokens at once.
    """
    if spec.base_model is None:
        return spec
    config = _config(Path(spec.base_model))
    family = family_of(config)
    if family is None:
        raise BadInputError(
            f"the base model is of the type {config.get('model_type')!r}, which "
            "cannot be pretrained here",
            f"Choose one of these types: {', '.join(FAMILIES)}.",
        )
    if family != spec.family:
        raise BadInputError(
            f"the base model is a {FAMILIES[family].title}, but family is "
            f"{spec.family}",
            f"Set family to {family}: a model goes on as what it is.",
        )
    shape = shape_of(config)
    longest = shape.pop("context", None)
    if longest is not None and spec.context > longest:
        raise BadInputError(
            f"context {spec.context:,} is longer than the {longest:,} tokens the base "
            "model can see",
            f"Choose a context of {longest:,} or less.",
        )
    return spec.model_copy(update=shape)


def load_base_model(
    spec: PretrainSpec, made: ModelTokenizer, report: Reporter
) -> LanguageModel:
    """Return the base model in fp32, with the spec's dropout.

    Raises:
        BadInputError: its weights cannot be read, or its tokenizer is another's.
    """
    folder = Path(spec.base_model or "")
    torch.manual_seed(spec.seed)  # for weights that may be missing
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        _refuse_foreign_tokenizer(config, made)
        for name in DROPOUTS.get(spec.family, ()):
            setattr(config, name, spec.dropout)
        model, found = CLASSES[spec.facts.architecture].from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise BadInputError(
            f"the base model cannot be loaded: {(str(error).splitlines() or [''])[0]}",
            "Choose another model, or import this one again.",
        ) from error
    if missing := sorted(found["missing_keys"]):
        named = ", ".join(missing[:NAMED_AT_MOST])
        more = f" and {len(missing) - NAMED_AT_MOST} more"
        report.warning(
            "the base model lacks some weights, which start from random values: "
            + named
            + (more if len(missing) > NAMED_AT_MOST else "")
        )
    _warn_of_another_end(config, made, report)
    loaded: LanguageModel = model
    return loaded


def _config(folder: Path) -> dict[str, Any]:
    if (folder / "adapter_config.json").is_file():
        raise BadInputError(
            "the base model is an adapter, which has no weights of its own",
            "Merge it into its model, and choose the result.",
        )
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"the base model has no config.json that can be read: {error}",
            "Choose another model, or import this one again.",
        ) from error
    if not (folder / "tokenizer.json").is_file():
        raise BadInputError(
            "the base model has no tokenizer.json, so text cannot become its tokens",
            "Import the model again together with its tokenizer.",
        )
    return config


def _refuse_foreign_tokenizer(config: Any, made: ModelTokenizer) -> None:
    if made.vocabulary_size <= config.vocab_size:
        return
    own = set(made.special.all) - set(range(config.vocab_size))
    tokens = made.tokenizer.get_vocab(with_added_tokens=False).values()
    if own and max(tokens) < config.vocab_size:
        lacking = [str(made.tokenizer.id_to_token(token)) for token in sorted(own)]
        raise BadInputError(
            f"the base model knows no token for {', '.join(lacking[:NAMED_AT_MOST])}, "
            f"which pretraining a {config.model_type} needs",
            "Choose a model whose tokenizer has its special tokens, or a shorter "
            "context where sentinels are missing.",
        )
    raise BadInputError(
        f"the tokenizer has {made.vocabulary_size:,} tokens, but the base model "
        f"embeds {config.vocab_size:,}: it belongs to another model",
        "Import the model again together with the tokenizer it was trained with.",
    )


def _warn_of_another_end(config: Any, made: ModelTokenizer, report: Reporter) -> None:
    ends = config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    if ends != [None] and made.special.end not in ends:
        report.warning(
            f"the base model ends texts with token {ends[0]}, its tokenizer with "
            f"token {made.special.end}: if samples look like noise, the tokenizer is "
            "another model's"
        )
