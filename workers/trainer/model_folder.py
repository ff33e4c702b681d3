"""Writing a trained model: Hugging Face layout, safetensors, tokenizer, card."""

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runspec import PretrainSpec
from runspec.layout import OUTPUT
from transformers.utils import logging as transformers_logging

from trainer.architectures import CausalModel

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
    made_with = ("torch", "transformers")
    origin = lineage | {
        "spec (sha256)": spec.sha256(),
        "made with": ", ".join(f"{name} {version(name)}" for name in made_with),
    }
    return f"""---
library_name: transformers
pipeline_tag: text-generation
---

# A {spec.family} model pretrained with Trivium

A decoder-only model trained from random weights to predict the next token. It
continues text; it was not taught to follow instructions.

| | |
|---|---|
{_table(rows)}

## Where it comes from

Trained from random weights; no other model is its parent.

| | |
|---|---|
{_table(origin)}

## How to load it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```
"""


def _table(rows: Mapping[str, object]) -> str:
    # A name is the uploader's own: it must not break out of its cell.
    cells = {name: str(value).replace("|", "\\|") for name, value in rows.items()}
    return "\n".join(
        f"| {name} | {' '.join(cell.split())} |" for name, cell in cells.items()
    )
