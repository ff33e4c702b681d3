"""Writing a trained model: Hugging Face layout, safetensors, tokenizer, card."""

import shutil
from pathlib import Path
from typing import Any

from runspec import PretrainSpec
from runspec.families import FAMILIES
from runspec.layout import OUTPUT
from transformers.utils import logging as transformers_logging

from trainer.architectures import CausalModel
from trainer.card import CardFacts, CurveFacts, DataFacts, write_card

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def save_model(
    folder: Path,
    model: CausalModel,
    spec: PretrainSpec,
    *,
    facts: dict[str, Any],
    lineage: dict[str, str],
) -> None:
    """Fill `output/` with a model that plain `from_pretrained` loads."""
    output = folder / OUTPUT
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    transformers_logging.disable_progress_bar()  # the log is no terminal
    model.to("cpu").save_pretrained(output)
    for name in TOKENIZER_FILES:
        shutil.copyfile(Path(spec.tokenizer) / name, output / name)
    write_card(output, card_facts(spec, facts, lineage))


def card_facts(
    spec: PretrainSpec, facts: dict[str, Any], lineage: dict[str, str]
) -> CardFacts:
    """Return what the card of a pretrained model says."""
    return CardFacts(
        title=f"A {FAMILIES[spec.family].title} model pretrained with Trivium",
        architecture=FAMILIES[spec.family].architecture,
        stage="base",
        summary="Trained from random weights; no other model is its parent.",
        about={
            "family": spec.family,
            "parameters": f"{facts['parameters']:,}",
            "layers, heads, width": f"{spec.layers}, {spec.heads}, {spec.width}",
            "context": f"{spec.context} tokens",
            "vocabulary": f"{facts['vocabulary_size']:,}",
            "precision": facts["precision"],
            "seed": spec.seed,
        },
        spec=spec,
        data=[
            DataFacts(
                lineage["source"],
                rows=int(lineage["rows"]),
                sha256=lineage["dataset (sha256)"],
            )
        ],
        origin={"tokenizer (sha256)": lineage["tokenizer (sha256)"]},
        curve=CurveFacts(
            initial=facts["initial_validation_loss"],
            best=facts["best_validation_loss"],
            last=facts["validation_loss"],
        ),
        steps=spec.max_steps,
        tokens=facts["tokens"],
        seconds=facts["seconds"],
        device=facts["device"],
        num_devices=facts["num_devices"],
    )
