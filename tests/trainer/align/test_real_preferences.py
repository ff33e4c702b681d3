"""Real preferences: what a small model can learn of them, told beside length."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from asking_lab import write_dataset
from runspec import IngestSpec, RewardSpec, TokenizerSpec
from runspec.layout import DATASET_CARD, OUTPUT, DatasetCard
from stage_lab import context_for, result_of
from trainer.align import run_reward
from trainer.ingest import run_ingest
from trainer.tokenizer import run_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)
RASBT = "data/pref/rasbt_preference.jsonl.gz"


def run(stage: Any, spec: Any, folder: Path) -> Path:
    context = context_for(folder)
    stage(spec, context=context)
    context.report.close()
    return folder / OUTPUT


@pytest.fixture
def pairs(shared_dir: Path, tmp_path: Path) -> Path:
    """The pairs as a dataset, a fifth of their prompts held out."""
    source = shared_dir / RASBT
    if not source.is_file():
        pytest.skip(f"no example file at {source}")
    spec = IngestSpec(
        source=str(source), file_name=source.name, dataset_kind="preferences",
        validation_fraction=0.2, bad_rows="skip",
    )  # fmt: skip
    return run(run_ingest, spec, tmp_path / "pairs")


def small_decoder(pairs: Path, folder: Path) -> Path:
    """Return a model of random weights whose tokenizer knows these texts."""
    rows = pq.read_table(next(pairs.glob("train*.parquet"))).to_pylist()
    texts = [
        {"text": row[side][0]["content"]}
        for row in rows
        for side in ("chosen", "rejected")
    ]
    text = write_dataset(folder / "text", "text", train=texts)
    spec = TokenizerSpec(dataset=str(text), vocabulary_size=1024)
    model = folder / "model"
    shutil.copytree(run(run_tokenizer, spec, folder / "tokenizer"), model)
    torch.manual_seed(3)
    shape = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 1}
    config = LlamaConfig(
        vocab_size=1024, num_attention_heads=4, max_position_embeddings=384,
        bos_token_id=0, eos_token_id=0, **shape,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(model)
    return model


def test_identical_pairs_of_a_real_file_are_named_by_line(
    pairs: Path, shared_dir: Path
):
    with gzip.open(shared_dir / RASBT, "rt") as file:
        rows = [json.loads(line) for line in file]
    same = [at for at, row in enumerate(rows, 1) if row["chosen"] == row["rejected"]]
    assert same
    told = json.loads((pairs / "bad_rows.json").read_text())
    assert [one["place"] for one in told["first"]] == [f"line {at}" for at in same]
    assert {one["reason"] for one in told["first"]} == {
        "chosen and rejected are the same: no usable pair"
    }
    card = DatasetCard.model_validate_json((pairs / DATASET_CARD).read_text())
    assert card.rows == len(rows) - len(same)


@pytest.mark.slow
def test_politeness_is_learnt_far_beyond_length(pairs: Path, tmp_path: Path):
    spec = RewardSpec(
        model=str(small_decoder(pairs, tmp_path)), datasets=(str(pairs),),
        chat_template="chatml", epochs=3, learning_rate=2e-3, batch_size=8,
        center_rewards=0.01, precision="fp32", device="cpu", eval_every=1_000,
        publish="last",
    )  # fmt: skip
    run(run_reward, spec, tmp_path / "reward")
    found = result_of(tmp_path / "reward")["preference"]
    assert found["pairs"] > 150
    length = found["by_length"]
    assert found["accuracy"]["low"] > length["high"], (found["accuracy"], length)
