"""Writing a trained model: Hugging Face layout, safetensors, tokenizer, card."""

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runspec import PretrainSpec
from runspec.layout import OUTPUT
from transformers.utils import logging as transformers_logging

from trainer.architectures import LanguageModel
from trainer.special_tokens import ModelTokenizer

LEARNED: dict[str, str] = {
    "next-token": "to predict the next token. It continues text; it was not taught to "
    "follow instructions.",
    "masked": "to predict hidden tokens. It fills gaps, and is a start for "
    "classification and search.",
    "spans": "to fill in spans that were cut out of a text. It is a start for "
    "translation, summaries and other tasks from text to text.",
    "denoising": "to restore text with gaps and shuffled sentences. It is a start for "
    "translation, summaries and other tasks from text to text.",
}
LOADERS = {
    "decoder": ("AutoModelForCausalLM", "text-generation"),
    "encoder": ("AutoModelForMaskedLM", "fill-mask"),
    "encoder-decoder": ("AutoModelForSeq2SeqLM", "text2text-generation"),
}
"""The class that loads a model, and what the Hub calls its task."""
SPECIAL_TOKENS_NOTE = """
Text never becomes a special token here. Where a mask or a sentinel in a text is meant,
say so: `tokenizer(text, split_special_tokens=False)`.
"""


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
    (output / "README.md").write_text(model_card(spec, facts, lineage))


def model_card(
    spec: PretrainSpec, facts: dict[str, Any], lineage: dict[str, str]
) -> str:
    """Return the card: what it is, how it was made, how to load it."""
    loss = facts["validation_loss"]
    rows = {
        "family": spec.family,
        "parameters": f"{facts['parameters']:,}",
        "layers, heads, width": f"{spec.layers}, {spec.heads}, {spec.width}",
        "context": f"{spec.context} tokens",
        "vocabulary": f"{facts['vocabulary_size']:,}",
        "trained on": f"{facts['tokens']:,} tokens in {spec.max_steps:,} steps",
        "validation loss": "not measured" if loss is None else f"{loss:.4f} nats/token",
        "precision": facts["precision"],
        "seed": spec.seed,
    }
    if facts["validation_accuracy"] is not None:
        rows["validation accuracy"] = f"{100 * facts['validation_accuracy']:.1f} %"
    loader, task = LOADERS[spec.facts.architecture]
    begun = "random weights" if spec.base_model is None else "a base model"
    parents = (
        "Trained from random weights; no other model is its parent."
        if spec.base_model is None
        else "It went on from the weights and the tokenizer of a base model."
    )
    note = "" if spec.facts.architecture == "decoder" else SPECIAL_TOKENS_NOTE
    made_with = ("torch", "transformers")
    origin = lineage | {
        "made with": ", ".join(f"{name} {version(name)}" for name in made_with),
    }
    return f"""---
library_name: transformers
pipeline_tag: {task}
---

# A {spec.facts.title} model pretrained with Trivium

A model of the kind {spec.facts.architecture}, trained from {begun}
{LEARNED[spec.facts.objective]}

| | |
|---|---|
{_table(rows)}

## Where it comes from

{parents}

| | |
|---|---|
{_table(origin)}

## How to load it

```python
from transformers import {loader}, AutoTokenizer

model = {loader}.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```
{note}"""


def _table(rows: Mapping[str, object]) -> str:
    # A name is the uploader's own: it must not break out of its cell.
    cells = {name: str(value).replace("|", "\\|") for name, value in rows.items()}
    return "\n".join(
        f"| {name} | {' '.join(cell.split())} |" for name, cell in cells.items()
    )
