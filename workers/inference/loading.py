"""From a `ModelRef` to a model in memory: safetensors only, no code from models."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
import torch
import transformers
from runspec.manifest import BrokenCheckpointError, read_manifest
from runspec.serving import Architecture, ModelRef
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers.models.auto import modeling_auto as auto

from inference.errors import RefusedError, is_out_of_memory

SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
HEADS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "seq2seq-lm",
        "AutoModelForSeq2SeqLM",
        auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    ),
    ("causal-lm", "AutoModelForCausalLM", auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    ("masked-lm", "AutoModelForMaskedLM", auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES),
    (
        "scores",
        "AutoModelForSequenceClassification",
        auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    ),
    ("none", "AutoModel", auto.MODEL_MAPPING_NAMES),
)
"""What may stand on top of a model, the class that loads it, and the classes it is."""
CONTEXT_NAMES = (
    *("max_position_embeddings", "n_positions", "n_ctx"),
    *("max_sequence_length", "max_seq_len", "seq_length"),
)
ANY_LENGTH = 1_000_000
"""Tokenizers name a length beyond this where they know of none."""
UNLIMITED_CONTEXT = 2048
"""For models that could see any number of tokens (T5), so that memory has a bound."""
NAMED_AT_MOST = 3


@dataclass(frozen=True)
class Place:
    """Where the files of a model lie on this machine."""

    folder: Path
    weights: Path | None
    """The folder of a checkpoint whose weights are used instead."""

    @property
    def num_bytes(self) -> int:
        """Size of the weights on disk."""
        files = (self.weights or self.folder).glob("model*.safetensors")
        return sum(file.stat().st_size for file in files)


@dataclass(frozen=True)
class Built:
    """A model in memory, and what its config says of it."""

    model: Any
    tokenizer: Any
    architecture: Architecture
    head: str
    context: int


def locate(ref: ModelRef, cache: Path) -> Place:
    """Return the files of a model, fetched into `cache` where they lie elsewhere.

    Raises:
        RefusedError: they are not there, or a checkpoint is not whole.
    """
    folder = _local(ref.url, cache, ref)
    if not (folder / "config.json").is_file():
        raise not_found(ref, "its folder has no config.json")
    if not ref.weights_url:
        return Place(folder, None)
    weights = _local(ref.weights_url, cache, ref)
    try:
        read_manifest(weights, verify_hashes=True)
    except BrokenCheckpointError as error:
        raise not_found(ref, f"its checkpoint is not whole: {error}") from error
    if (weights / "adapter_config.json").is_file():
        raise not_found(
            ref,
            "checkpoints of LoRA hold an adapter alone, which cannot be served before "
            "the run has ended and merged it",
        )
    return Place(folder, weights)


def _local(url: str, cache: Path, ref: ModelRef) -> Path:
    """Return a folder's local path; what is remote is fetched once, whole or not."""
    parts = urlsplit(url)
    if parts.scheme in {"", "file"}:
        return Path(unquote(parts.path) if parts.scheme else url)
    # Named by content, as far as it is known: a changed model is fetched anew.
    name = "".join(one if one.isalnum() else "-" for one in f"{ref.key}-{parts.path}")
    final = cache / f"{name[-150:]}-{ref.sha256[:16]}"
    if final.is_dir():
        return final
    temporary = cache / f".tmp-{final.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        files, path = fsspec.core.url_to_fs(url)
        found = files.find(path)
        if not found:
            raise not_found(ref, "there are no files at its place")
        for name in found:
            target = temporary / PurePosixPath(name).relative_to(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(name, str(target))
        temporary.rename(final)
    except (OSError, ValueError, ImportError) as error:
        raise not_found(ref, f"its files cannot be fetched: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def build(ref: ModelRef, place: Place, device: str) -> Built:
    """Read config, tokenizer and weights.

    Weights stay in the type they are stored in; who computes on them may widen them.

    Raises:
        RefusedError: they are not what transformers knows, or memory runs out.
    """
    try:
        raw = json.loads((place.folder / "config.json").read_text())
        class_name = (raw.get("architectures") or [""])[0]
        head, loader = head_of(ref, class_name)
        config = transformers.AutoConfig.from_pretrained(place.folder, **SAFE)
        tokenizer = _tokenizer(ref, place.folder)
        model = _weights(ref, place, getattr(transformers, loader), config, head)
        model = model.eval().requires_grad_(requires_grad=False).to(device)
    except RefusedError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # transformers raises anything for files that are not as it expects them.
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise not_found(ref, why) from error
    return Built(
        model=model,
        tokenizer=tokenizer,
        architecture=architecture_of(config, head),
        head=head,
        context=context_of(config, tokenizer),
    )


def head_of(ref: ModelRef, class_name: str) -> tuple[str, str]:
    """Return what stands on top of a class of models, and the class that loads it."""
    for head, loader, classes in HEADS:
        names = {name for value in classes.values() for name in _names(value)}
        if class_name in names:
            return head, loader
    raise not_found(ref, f"its class {class_name!r} is not one that can be served")


def _names(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def architecture_of(config: Any, head: str) -> Architecture:
    """Return how a model reads: both ways, one way, or one and then the other."""
    if head == "causal-lm":
        return "decoder"
    if head == "masked-lm":
        return "encoder"
    if config.is_encoder_decoder:
        return "encoder-decoder"
    kind = config.model_type
    is_decoder = (
        kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and kind not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
    return "decoder" if is_decoder else "encoder"


def context_of(config: Any, tokenizer: Any) -> int:
    """Return how many tokens a model can see."""
    for name in CONTEXT_NAMES:
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            if config.model_type in {"roberta", "xlm-roberta", "camembert"}:
                # Positions begin behind the padding id.
                found -= (config.pad_token_id or 0) + 1
            return found
    told = tokenizer.model_max_length
    return int(told) if told < ANY_LENGTH else UNLIMITED_CONTEXT


def _tokenizer(ref: ModelRef, folder: Path) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **SAFE)
    if not getattr(tokenizer, "is_fast", False):
        raise not_found(ref, "its tokenizer has no tokenizer.json")
    return tokenizer


def _weights(
    ref: ModelRef, place: Place, loader: Any, config: Any, head: str
) -> nn.Module:
    """Return a model with its weights, every one of them read."""
    weights = place.weights
    if weights is not None and not (weights / "config.json").is_file():
        return _parameters(ref, weights, loader, config)
    model, found = loader.from_pretrained(
        weights or place.folder,
        config=config,
        dtype="auto",
        use_safetensors=True,
        output_loading_info=True,
        **SAFE,
    )
    missing = sorted(found["missing_keys"])
    if head == "none":  # a pooler is never asked here
        missing = [name for name in missing if "pooler" not in name]
    if missing:
        raise not_found(ref, f"its weights lack {', '.join(missing[:NAMED_AT_MOST])}")
    loaded: nn.Module = model
    return loaded


def _parameters(ref: ModelRef, weights: Path, loader: Any, config: Any) -> nn.Module:
    """Return a model with the parameters a pretraining checkpoint holds, by name."""
    model: nn.Module = loader.from_config(config, dtype=torch.float32)
    parameters = dict(model.named_parameters())
    try:
        stored = load_file(weights / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise not_found(ref, f"its checkpoint holds no weights: {error}") from error
    if set(stored) != set(parameters):
        raise not_found(ref, "its checkpoint holds the weights of another model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[name])
    return model


def not_found(ref: ModelRef, why: str) -> RefusedError:
    """Say that a model cannot be served."""
    return RefusedError(
        404, "model_not_found", f"{ref.key} cannot be loaded: {why}", "model"
    )
