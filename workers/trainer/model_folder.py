"""Writing a trained model: Hugging Face layout, safetensors, tokenizer, card."""

import copy
import shutil
from pathlib import Path
from typing import Any

from runspec import PretrainSpec
from runspec.layout import OUTPUT, SERVED
from transformers.utils import logging as transformers_logging

from trainer.architectures import LanguageModel
from trainer.card import CardFacts, CurveFacts, DataFacts, ParentFacts, write_card
from trainer.special_tokens import ModelTokenizer

LEARNED: dict[str, str] = {
    "next-token": "to predict the next token",
    "masked": "to predict hidden tokens",
    "spans": "to fill in spans that were cut out of a text",
    "denoising": "to restore text with gaps and shuffled sentences",
}
SPECIAL_TOKENS_NOTE = (
    "Text never becomes a special token here. Where a mask or a sentinel in a text is "
    "meant, say so: tokenizer(text, split_special_tokens=False)."
)


def save_model(
    folder: Path,
    model: LanguageModel,
    tokenizer: ModelTokenizer,
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
    tokenizer.save(output)
    write_card(output, card_facts(spec, facts, lineage))


def save_config(folder: Path, model: LanguageModel, tokenizer: ModelTokenizer) -> None:
    """Fill `served/` with what a checkpoint needs beside its weights to be talked to.

    By the first attempt, and by one rename: a reader sees all of it or nothing.
    """
    final, temporary = folder / SERVED, folder / f".tmp-{SERVED}"
    if final.exists():
        return
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(temporary)
    tokenizer.save(temporary)
    temporary.rename(final)


def card_facts(
    spec: PretrainSpec, facts: dict[str, Any], lineage: dict[str, str]
) -> CardFacts:
    """Return what the card of a pretrained model says."""
    begun = "random weights" if spec.base_model is None else "a base model's weights"
    accuracy = facts["validation_accuracy"]
    is_decoder = spec.facts.architecture == "decoder"
    return CardFacts(
        title=f"A {spec.facts.title} model pretrained with Trivium",
        architecture=spec.facts.architecture,
        stage="base",
        summary=f"Trained from {begun} {LEARNED[spec.facts.objective]}.",
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
        parents=[ParentFacts("a base model")] if spec.base_model else [],
        origin={
            name: lineage[name] for name in ("tokenizer (sha256)", "spec (sha256)")
        },
        curve=CurveFacts(
            initial=facts["initial_validation_loss"],
            best=facts["best_validation_loss"],
            last=facts["validation_loss"],
        ),
        evaluation={} if accuracy is None else {"validation accuracy": accuracy},
        steps=spec.max_steps,
        tokens=facts["tokens"],
        seconds=facts["seconds"],
        device=facts["device"],
        num_devices=facts["num_devices"],
        limits=[] if is_decoder else [SPECIAL_TOKENS_NOTE],
    )
