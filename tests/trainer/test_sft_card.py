"""The card of a fine-tuned model, from what its stage knows."""

from types import SimpleNamespace
from typing import Any

import pytest
from runspec import SftSpec
from trainer.card import card_text
from trainer.sft.output import card_facts

FACTS: dict[str, Any] = {
    "measured": {"loss": 0.5, "accuracy": 0.75},
    "parameters": 1000,
    "trained_parameters": 10,
    "template": "",
    "labels": [],
    "precision": "fp32",
    "initial_validation_loss": 2.0,
    "validation_loss": 0.5,
    "steps": 100,
    "tokens": 5000,
    "seconds": 60.0,
    "device": "x86_64, 2 threads",
    "num_devices": 1,
}


@pytest.mark.parametrize(
    ("task", "says", "loader"),
    [
        ("chat", "answer in a conversation", "AutoModelForCausalLM"),
        ("text-to-text", "one text into another", "AutoModelForSeq2SeqLM"),
        ("classification", "by a label", "AutoModelForSequenceClassification"),
    ],
)
def test_each_task_is_told_with_its_data_and_parent(task, says, loader, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    source = SimpleNamespace(rows=40, content_sha256="ab" * 32, kind="instructions")
    parts: Any = SimpleNamespace(
        spec=SftSpec(model=str(tmp_path), datasets=("/d",), task=task),
        sources=[SimpleNamespace(name="chats.jsonl", card=source)],
    )
    text = card_text(card_facts(parts, FACTS))
    for said in (
        says, f"{loader}.from_pretrained", "| chats.jsonl | 40 |", "ab" * 32,
        "the model that was fine-tuned, weights `9a1", "| accuracy | 0.75 |",
        "2.0000 nats/token", "≈", "an estimate", "- instruct",
    ):  # fmt: skip
        assert said in text
    assert str(tmp_path) not in text
