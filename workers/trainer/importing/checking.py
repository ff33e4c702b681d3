"""Whether config, weights and tokenizer fit each other, tried without memory.

The model is built by transformers on torch's meta device: names and shapes are
compared, and no weight is read.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import transformers
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from trainer.architectures import num_parameters
from trainer.errors import BadInputError
from trainer.importing.recognise import Recognised
from trainer.importing.weights import describe_names
from trainer.ingest.errors import shown

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
SAVE_AGAIN = "Save the model again with save_pretrained of transformers, and try that."
OPTIONAL = ("pooler.",)
"""Weights a model works without: nothing in Trivium reads them."""


class Fit(NamedTuple):
    """What was found while everything was tried together."""

    parameters: int
    embeddings: int
    vocabulary_size: int
    layers: int | None
    width: int | None
    context: int | None
    end_token: str
    warnings: list[str]


def check_fit(
    folder: Path, recognised: Recognised, *, num_tensors: int, num_layers: Any
) -> Fit:
    """Try a folder the way everyone will load it.

    Raises:
        BadInputError: something does not fit; the sentence names it.
    """
    if type(num_layers) is int and num_layers > num_tensors:
        raise BadInputError(
            f"config.json describes {num_layers:,} layers; the weights hold only "
            f"{num_tensors:,} tensors",
            SAVE_AGAIN,
        )
    transformers_logging.disable_progress_bar()  # the log is no terminal
    model, warnings = _build(folder, recognised)
    tokenizer = load_any_tokenizer(folder)
    complete_tokenizer(folder, tokenizer)
    embeddings = int(model.get_input_embeddings().weight.shape[0])
    size = max(tokenizer.get_vocab().values(), default=-1) + 1
    if size > embeddings:
        raise BadInputError(
            f"the tokenizer has {size:,} tokens, the model embeddings for only "
            f"{embeddings:,}: they do not belong together",
            "Send the tokenizer the model was trained with.",
        )
    if tokenizer.eos_token is None and recognised.head == "causal-lm":
        warnings.append(
            "the tokenizer has no end token, so generation stops at its limit only"
        )
    config = model.config
    return Fit(
        parameters=num_parameters(model),
        embeddings=embeddings,
        vocabulary_size=size,
        layers=_number(config, "num_hidden_layers"),
        width=_number(config, "hidden_size"),
        context=_number(config, "max_position_embeddings"),
        end_token=str(tokenizer.eos_token or ""),
        warnings=warnings,
    )


def _number(config: Any, name: str) -> int | None:
    value = getattr(config, name, None)
    return value if type(value) is int else None


def _build(folder: Path, recognised: Recognised) -> tuple[Any, list[str]]:
    loader = getattr(transformers, recognised.loader)
    try:
        model, loading = loader.from_pretrained(
            folder,
            device_map="meta",
            dtype="auto",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # a hostile config fails anywhere in there
        raise BadInputError(
            "transformers cannot build this model from its config.json: "
            f"{type(error).__name__}: {_first_line(error)}",
            SAVE_AGAIN,
        ) from error
    _require_shapes(loading["mismatched_keys"])
    missing = sorted(loading["missing_keys"])
    needed = [name for name in missing if not any(part in name for part in OPTIONAL)]
    if needed:
        raise BadInputError(
            f"the weights of {len(needed):,} parts of the model are missing: "
            f"{describe_names(needed)}",
            "Send every safetensors file, and the config.json that belongs to them.",
        )
    warnings = []
    if missing:
        warnings.append(f"weights that are not needed lack: {describe_names(missing)}")
    if unexpected := sorted(loading["unexpected_keys"]):
        warnings.append(
            f"weights the model has no place for are ignored: "
            f"{describe_names(unexpected)}"
        )
    return model, warnings


def _require_shapes(mismatched: Any) -> None:
    for name, stored, wanted in sorted(mismatched, key=str):
        raise BadInputError(
            f"the weights do not fit config.json: {shown(name)} has the shape "
            f"{list(stored)}, by config.json it has {list(wanted)}",
            "Send the config.json that belongs to these weights.",
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[0][:300]


def load_any_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a folder, fast or made so.

    Raises:
        BadInputError: there is none, or it is broken.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # libraries below raise plain Exception
        raise BadInputError(
            "the tokenizer cannot be loaded: "
            f"{type(error).__name__}: {_first_line(error)}",
            "Send tokenizer.json and tokenizer_config.json with the model.",
        ) from error
    if not tokenizer.is_fast or not len(tokenizer):
        raise BadInputError(
            "the tokenizer has no form that the tokenizers library reads",
            "Save it with transformers as tokenizer.json, and send that too.",
        )
    return tokenizer


def complete_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write the files that every reader of a model counts on, where they lack."""
    lacking = [name for name in TOKENIZER_FILES if not (folder / name).exists()]
    if not lacking:
        return
    with TemporaryDirectory(dir=folder.parent) as made:
        tokenizer.save_pretrained(made)
        for name in lacking:
            (Path(made) / name).rename(folder / name)
