"""Writing a fine-tuned model: merged weights, tokenizer with its template, card."""

import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from runspec.layout import OUTPUT
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from trainer.sft.adapters import merged, save_adapter
from trainer.sft.loading import load_model
from trainer.sft.parts import Parts

ADAPTER = "adapter"


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
    (output / "README.md").write_text(card(parts, facts))


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


def card(parts: Parts, facts: dict[str, Any]) -> str:
    """Return the card: what it is, and what was measured."""
    rows = "\n".join(
        f"| {name} | {value:.4g} |" for name, value in facts["measured"].items()
    )
    return f"""---
library_name: transformers
---

# A model fine-tuned with Trivium

Task: {parts.spec.task}. It saw {facts["rows"]:,} rows in {facts["steps"]:,} steps.

| measured on rows it has not seen | |
|---|---|
{rows}
"""
