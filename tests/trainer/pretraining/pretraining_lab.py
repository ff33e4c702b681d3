"""A text, a tokenizer for it, and a stage that can be run, stopped and resumed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runspec import PretrainSpec
from runspec.layout import DatasetCard, Split
from stage_lab import context_for
from trainer import loop
from trainer.context import Context
from trainer.errors import Stopped
from trainer.pretrain import run_pretrain

LINES = [f"{number} and {number + 1} are neighbours.\n" for number in range(600)]
TINY: dict[str, Any] = {
    "layers": 2,
    "heads": 2,
    "width": 32,
    "context": 24,
    "batch_size": 8,
    "max_steps": 40,
    "warmup_steps": 4,
    "eval_every": 10,
    "eval_batches": 3,
    "sample_every": 20,
    "sample_tokens": 5,
    "checkpoint_every": 10,
    "precision": "fp32",
    "compile": "off",
    "device": "cpu",
}


def write_dataset(folder: Path, splits: dict[str, list[str]]) -> Path:
    folder.mkdir()
    made = {}
    for name, texts in splits.items():
        pq.write_table(pa.table({"text": texts}), folder / f"{name}.parquet")
        made[name] = Split(
            rows=len(texts),
            bytes=sum(len(text.encode()) for text in texts),
            characters=sum(map(len, texts)),
            shards=[f"{name}.parquet"],
        )
    card = DatasetCard(
        kind="text",
        columns=["text"],
        rows=sum(split.rows for split in made.values()),
        bytes=sum(split.bytes for split in made.values()),
        characters=sum(split.characters for split in made.values()),
        distinct_rows=1,
        duplicate_rows=0,
        length_histogram=[],
        splits=made,
        content_sha256=str(hash(str(splits))),
        source_name="lines",
        source_sha256="",
    )
    (folder / "dataset.json").write_text(card.model_dump_json())
    return folder


@dataclass
class Lab:
    """Runs tiny stages in a folder of the test."""

    root: Path
    dataset: Path
    tokenizer: Path

    def spec(self, **changes: Any) -> PretrainSpec:
        values = {"dataset": str(self.dataset), "tokenizer": str(self.tokenizer)}
        return PretrainSpec(**{**values, **TINY, **changes})

    def context(self, name: str) -> Context:
        """Return a context that shares the cache of the runs."""
        return context_for(self.root / name)

    def run(self, spec: PretrainSpec, name: str = "run", **options: Any) -> Path:
        """Run to the end, or to a stop; return the run's folder."""
        folder = self.root / name
        context = context_for(folder, **options)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(loop, "READ_EVERY_S", 0.0)  # so that a stop is punctual
                run_pretrain(spec, context=context)
        except Stopped:
            assert options.get("stop_at") is not None
        finally:
            context.report.close()
        return folder
