"""The files for TRL, trained on by TRL as they are."""

import math
from pathlib import Path
from typing import Any

import pytest
from export_lab import chat, pair, vote
from tiny_models import write_model

pytestmark = [
    pytest.mark.slow,
    # TRL 1.16 asks transformers 5.23 for a property by its old name.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
]

TEMPLATE = (
    "{% for message in messages %}{{ message.role }} {{ message.content }} "
    "{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
)
SETTINGS: dict[str, Any] = {
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "logging_steps": 1,
    "report_to": "none",
    "save_strategy": "no",
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "disable_tqdm": True,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    return write_model(folder, "llama", max_position_embeddings=256)


@pytest.fixture(params=[chat, str], ids=["chat", "text"])
def exported(export, request):
    """Six decided pairs, of conversations or of plain text."""
    pairs = [
        pair(
            n,
            request.param(f"abc {n}"),
            ("def ghi", "jkl mno pq"),
            [vote(n, "ab"[n % 2], acceptable={"a": True})],
        )
        for n in range(1, 7)
    ]
    return export(pairs, validation_fraction=0.2)


def train(kind: str, exported, stem: str, tiny: Path, folder: Path) -> list[float]:
    """Take two steps of one of TRL's trainers; return the loss of each."""
    import trl
    from datasets import load_dataset
    from transformers import AutoTokenizer

    files = str(exported.output / "exports" / f"{stem}.jsonl.gz")
    rows = load_dataset("json", data_files=files, cache_dir=folder / "cache")["train"]
    rows = rows.filter(lambda row: row["split"] == "train")
    assert 0 < len(rows) < len(exported.lines(stem))
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.chat_template = TEMPLATE
    settings = getattr(trl, f"{kind}Config")(output_dir=str(folder), **SETTINGS)
    trainer = getattr(trl, f"{kind}Trainer")(
        model=str(tiny), args=settings, train_dataset=rows, processing_class=tokenizer
    )
    trainer.train()
    return [log["loss"] for log in trainer.state.log_history if "loss" in log]


def test_dpo_begins_at_the_logarithm_of_two(exported, tiny, tmp_path):
    losses = train("DPO", exported, "trl-explicit", tiny, tmp_path)
    assert len(losses) == 2
    # Policy and reference are one model before the first step.
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)


def test_a_reward_model_learns_from_whole_conversations(exported, tiny, tmp_path):
    losses = train("Reward", exported, "trl-implicit", tiny, tmp_path)
    assert len(losses) == 2
    assert all(map(math.isfinite, losses))


def test_kto_learns_from_single_answers(exported, tiny, tmp_path):
    losses = train("KTO", exported, "kto", tiny, tmp_path)
    # A half, as long as policy and reference agree.
    assert losses[0] == pytest.approx(0.5, abs=1e-4)
