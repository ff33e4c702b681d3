"""The model and the tokenizer a fine-tuning run starts from.

`local_files_only`, safetensors only, no code of the model's own: as everywhere.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from trainer.errors import BadInputError

CLASSES: dict[str, Any] = {
    "chat": AutoModelForCausalLM,
    "text-to-text": AutoModelForSeq2SeqLM,
    "classification": AutoModelForSequenceClassification,
    "dpo": AutoModelForCausalLM,
    "rlhf": AutoModelForCausalLM,
    "reward": AutoModelForSequenceClassification,
}
SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
ANY_LENGTH = 100_000


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a tokenizer; special tokens in a text are plain text to it.

    Raises:
        BadInputError: it is not there, or names no end token.
    """
    try:
        tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(
            folder, **SAFE
        )
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"the model's tokenizer cannot be read: {error}",
            "Import the model again with its tokenizer.json.",
        ) from error
    if tokenizer.eos_token is None and tokenizer.sep_token is None:
        raise BadInputError(
            "the tokenizer names no end token, so a model could never learn to stop",
            "Name its eos_token in tokenizer_config.json and import the model again.",
        )
    if tokenizer.eos_token is None:
        tokenizer.eos_token = tokenizer.sep_token
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def context_of(folder: Path, wanted: int | None) -> int:
    """Return the longest row a model takes, or the shorter one that is wanted.

    Raises:
        BadInputError: more is wanted than the model takes.
    """
    config = AutoConfig.from_pretrained(folder, **SAFE)
    own = getattr(config, "max_position_embeddings", None) or ANY_LENGTH
    if getattr(config, "model_type", "") == "roberta":
        own -= 2  # positions begin behind the padding id
    if wanted and wanted > own:
        raise BadInputError(
            f"context {wanted} is more than the {own} tokens this model can see",
            f"Lower context to {own}, or leave it empty.",
        )
    return int(wanted or own)


def load_model(
    folder: Path, task: str, *, labels: tuple[str, ...] = (), quantized: bool = False
) -> PreTrainedModel:
    """Load weights in fp32 (or in 4 bits), with a fresh head for `labels`."""
    options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, **SAFE}
    if labels:
        options |= {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "label2id": {label: number for number, label in enumerate(labels)},
            "ignore_mismatched_sizes": True,
        }
    if quantized:
        options["quantization_config"] = four_bits()
    model: PreTrainedModel = CLASSES[task].from_pretrained(folder, **options)
    return model


def four_bits() -> Any:
    """Return how QLoRA holds the weights (https://arxiv.org/abs/2305.14314).

    Raises:
        BadInputError: there is no CUDA device, or bitsandbytes is not installed.
    """
    if not torch.cuda.is_available():
        raise BadInputError(
            "method qlora needs a CUDA device, and this worker has none",
            "Set method to lora, or start a worker on a host with an NVIDIA GPU.",
        )
    try:
        import bitsandbytes  # type: ignore[import-not-found] # noqa: F401
    except ImportError:
        raise BadInputError(
            "method qlora needs the package bitsandbytes, which is not installed here",
            "Set method to lora, or install bitsandbytes on the GPU worker.",
        ) from None
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
