"""What a model is, read off its config.json: architecture, family, head and stage."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from runspec.families import Architecture
from transformers import __version__ as transformers_version
from transformers.models.auto import modeling_auto as auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from trainer.errors import BadInputError
from trainer.ingest.errors import shown

MAX_JSON_BYTES = 50 * 2**20
CODE_KEYS = ("auto_map", "custom_pipelines", "custom_generate")
"""Keys that name code to be run; no such code is ever run here."""
OTHER_SENSES = ("vision_config", "audio_config", "speech_config")

HEADS: dict[str, tuple[dict[str, Any], str]] = {
    "seq2seq-lm": (
        auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        "AutoModelForSeq2SeqLM",
    ),
    "causal-lm": (auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "AutoModelForCausalLM"),
    "masked-lm": (auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, "AutoModelForMaskedLM"),
    "sequence-classification": (
        auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        "AutoModelForSequenceClassification",
    ),
    "none": (auto.MODEL_MAPPING_NAMES, "AutoModel"),
}
"""What stands on top of a model: the classes that have it, and what loads them."""


class Recognised(NamedTuple):
    """What a config.json says of its model."""

    architecture: Architecture
    family: str
    head: str
    loader: str
    """The class of transformers that loads it, like AutoModelForCausalLM."""
    class_name: str
    num_labels: int
    """0 where it does not classify."""


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        BadInputError: it does not.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise BadInputError(
            f"{name} is larger than {MAX_JSON_BYTES:,} bytes, too much for settings"
        )
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise BadInputError(
            f"{name} is not a JSON object", "Take the model from where it came again."
        )
    return values


def recognise(config: dict[str, Any]) -> Recognised:
    """Return what a model is.

    Raises:
        BadInputError: transformers knows no such model, or Trivium has no use for it.
    """
    family = _family(config)
    class_name = _class_name(config)
    head = _head(family, class_name)
    if head is None:
        raise BadInputError(
            f"config.json: the class {shown(class_name)} of a {family} model is not "
            "one that Trivium can use",
            "Models with a language head, a classification head or none can be "
            "imported.",
        )
    num_labels = _num_labels(config) if head == "sequence-classification" else 0
    return Recognised(
        architecture=_architecture(config, family, head),
        family=family,
        head=head,
        loader=HEADS[head][1],
        class_name=class_name,
        num_labels=num_labels,
    )


def _family(config: dict[str, Any]) -> str:
    family = config.get("model_type")
    if not isinstance(family, str) or family not in CONFIG_MAPPING_NAMES:
        needs_code = " It brings code of its own (auto_map), which is never run."
        raise BadInputError(
            f"config.json: the model_type {shown(family)} is not one that transformers "
            f"{transformers_version} knows." + needs_code * ("auto_map" in config),
            "Import a model of an architecture that transformers has built in.",
        )
    if "quantization_config" in config:
        raise BadInputError(
            "config.json: the weights are quantized (quantization_config)",
            "Import the model it was made from, with its full weights.",
        )
    for key in OTHER_SENSES:
        if key in config:
            raise BadInputError(
                f"config.json: this model sees or hears ({key}); Trivium's read text",
                "Import a model of text alone.",
            )
    return family


def _class_name(config: dict[str, Any]) -> str:
    classes = config.get("architectures")
    if isinstance(classes, list) and classes and isinstance(classes[0], str):
        return classes[0]
    raise BadInputError(
        "config.json does not say which class the model is of (architectures)",
        "Save it again with save_pretrained of transformers, which writes that.",
    )


def _head(family: str, class_name: str) -> str | None:
    for head, (classes, _) in HEADS.items():
        known = classes.get(family, ())
        if class_name == known or (isinstance(known, tuple) and class_name in known):
            return head
    if class_name == auto.MODEL_FOR_PRETRAINING_MAPPING_NAMES.get(family):
        return "masked-lm" if family in HEADS["masked-lm"][0] else None
    return None


def _architecture(config: dict[str, Any], family: str, head: str) -> Architecture:
    if head == "causal-lm":
        return "decoder"
    if head == "seq2seq-lm" or config.get("is_encoder_decoder") is True:
        return "encoder-decoder"
    return "encoder" if family in HEADS["masked-lm"][0] else "decoder"


def _num_labels(config: dict[str, Any]) -> int:
    labels = config.get("id2label")
    if isinstance(labels, dict) and labels:
        return len(labels)
    number = config.get("num_labels")
    return number if type(number) is int and number > 0 else 2


def stage_of(recognised: Recognised, *, has_template: bool) -> str:
    """Return the stage a model most likely is at."""
    if recognised.num_labels == 1:
        return "reward"
    return "instruct" if has_template or recognised.num_labels else "base"


def without_code(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return settings without the keys that name code, and those keys."""
    found = [key for key in CODE_KEYS if key in values]
    return {key: value for key, value in values.items() if key not in found}, found
