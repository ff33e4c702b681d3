"""Writing a fine-tuned model: merged weights, tokenizer with its template, card."""

import math
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from runspec.families import Architecture
from runspec.layout import OUTPUT
from runspec.manifest import file_sha256
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from trainer.card import CardFacts, CurveFacts, DataFacts, ParentFacts, write_card
from trainer.hardware import device_name
from trainer.sft.adapters import merged, save_adapter
from trainer.sft.loading import load_model
from trainer.sft.parts import Parts
from trainer.sft.state import State

ADAPTER = "adapter"
ARCHITECTURE_OF: dict[str, Architecture] = {
    "chat": "decoder",
    "text-to-text": "encoder-decoder",
    "classification": "encoder",
    "dpo": "decoder",
    "rlhf": "decoder",
    "reward": "decoder",
}
STAGES = {"dpo": "aligned", "reward": "reward", "rlhf": "aligned"}
"""What else than an instruct model a run makes."""
HEADS = dict.fromkeys(("classification", "reward"), "sequence-classification")
SUMMARIES = {
    "chat": "Taught by examples to answer in a conversation.",
    "text-to-text": "Taught by examples to turn one text into another.",
    "classification": "Taught by examples to tell texts apart by a label.",
    "dpo": "Aligned with preferences: it answers more like what people chose.",
    "rlhf": "Aligned by rewards of its own answers.",
    "reward": "Taught by preferences to rate answers: a higher number is a better one.",
}


def write_output(folder: Path, model: Any, parts: Parts, facts: dict[str, Any]) -> None:
    """Fill `output/` with a model that plain `from_pretrained` loads.

    What LoRA learned is added into the weights, and lies in `adapter/` as well.
    """
    output = folder / OUTPUT
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    transformers_logging.disable_progress_bar()  # the log is no terminal
    if isinstance(model, PeftModel):
        save_adapter(model, output / ADAPTER)
        if parts.spec.method == "qlora":
            model = unquantized(parts, output / ADAPTER)
        model = merged(model)
    assert isinstance(model, PreTrainedModel)
    model.to("cpu")
    model.save_pretrained(output)
    parts.tokenizer.save_pretrained(output)
    write_card(output, card_facts(parts, facts))


def unquantized(parts: Parts, adapter: Path) -> PeftModel:
    """Return the base model in full precision with an adapter that was trained on it.

    Merging into 4-bit weights would round what was learned away.
    """
    base = load_model(Path(parts.spec.model), parts.spec.task, labels=parts.labels)
    needed = max(parts.tokenizer.get_vocab().values()) + 1
    if needed > base.get_input_embeddings().weight.shape[0]:
        base.resize_token_embeddings(needed)
    with torch.no_grad():
        return PeftModel.from_pretrained(base, adapter)


def card_facts(parts: Parts, facts: dict[str, Any]) -> CardFacts:
    """Return what the card of a fine-tuned model says."""
    spec = parts.spec
    measured = {k: v for k, v in facts["measured"].items() if k != "loss"}
    if judged := facts.get("preference"):
        measured |= {
            "accuracy, 95 % from": judged["accuracy"]["low"],
            "accuracy, 95 % to": judged["accuracy"]["high"],
            f"accuracy of picking the {judged['by_length']['picks']}": judged[
                "by_length"
            ]["value"],
        }
    return CardFacts(
        title="A model fine-tuned with Trivium",
        architecture=ARCHITECTURE_OF[spec.task],
        stage=STAGES.get(spec.task, "instruct"),
        head=HEADS.get(spec.task, ""),
        summary=SUMMARIES[spec.task],
        about={
            "parameters": f"{facts['parameters']:,}",
            "of them trained": f"{facts['trained_parameters']:,}",
            "method": spec.method,
            "chat template": facts["template"],
            "labels": ", ".join(facts["labels"]),
            "precision": facts["precision"],
            "seed": spec.seed,
        },
        spec=spec,
        data=[
            DataFacts(
                source.name,
                rows=source.card.rows,
                sha256=source.card.content_sha256,
                note=source.card.kind,
            )
            for source in parts.sources
        ],
        parents=parents_of(Path(spec.model)),
        curve=CurveFacts(
            initial=facts["initial_validation_loss"], last=facts["validation_loss"]
        ),
        evaluation=measured,
        steps=facts["steps"],
        tokens=facts["tokens"],
        seconds=facts["seconds"],
        device=facts["device"],
        num_devices=facts["num_devices"],
    )


def parents_of(folder: Path) -> list[ParentFacts]:
    """Return the model that was fine-tuned, known here by its weights alone."""
    weights = folder / "model.safetensors"
    sha256 = file_sha256(weights) if weights.is_file() else ""
    return [ParentFacts("the model that was fine-tuned", sha256)]


def facts_of(
    parts: Parts,
    trainer: Any,
    state: State,
    *,
    seconds: float,
    tokens_per_s: float | None,
) -> dict[str, Any]:
    """Return what page, card and registry show of the finished model."""
    model = trainer.model
    return {
        "parameters": sum(p.numel() for p in base_parameters(model)),
        "trained_parameters": sum(
            p.numel() for p in model.parameters() if p.requires_grad
        ),
        "steps": trainer.state.global_step,
        "best_step": state.best_step if state.best_step > 0 else None,
        "rows": parts.tally.kept,
        "tokens": trainer.tokens,
        "initial_validation_loss": state.initial.get("loss"),
        "validation_loss": published_loss(parts, state),
        "measured": state.measured,
        "initial": state.initial,
        "template": parts.template,
        "labels": list(parts.labels),
        "seconds": seconds,
        "tokens_per_s": tokens_per_s,
        "precision": parts.precision,
        "device": device_name(trainer.args.device),
        "num_devices": 1,
    }


def published_loss(parts: Parts, state: State) -> float | None:
    """Return the validation loss of the weights that are published."""
    is_best_by_loss = parts.spec.publish == "best" and parts.spec.best_metric == "loss"
    if is_best_by_loss and math.isfinite(state.best_score):
        return state.best_score
    return state.measured.get("loss")


def base_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights a model has without what LoRA added."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if "lora_" not in name and "token_adapter" not in name
    ]
