"""Writing a trained model: Hugging Face layout, safetensors, tokenizer, card."""

import shutil
from pathlib import Path
from typing import Any

from runspec import PretrainSpec
from runspec.layout import OUTPUT
from transformers.utils import logging as transformers_logging

from trainer.architectures import CausalModel

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def save_model(
    folder: Path, model: CausalModel, spec: PretrainSpec, facts: dict[str, Any]
) -> None:
    """Fill `output/` with a model that plain `from_pretrained` loads."""
    output = folder / OUTPUT
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    transformers_logging.disable_progress_bar()  # the log is no terminal
    model.to("cpu").save_pretrained(output)
    for name in TOKENIZER_FILES:
        shutil.copyfile(Path(spec.tokenizer) / name, output / name)
    (output / "README.md").write_text(model_card(spec, facts))


def model_card(spec: PretrainSpec, facts: dict[str, Any]) -> str:
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
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""---
library_name: transformers
pipeline_tag: text-generation
---

# A {spec.family} model pretrained with Trivium

A decoder-only model trained from random weights to predict the next token. It
continues text; it was not taught to follow instructions.

| | |
|---|---|
{table}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```
"""
