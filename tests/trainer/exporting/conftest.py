import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from runspec import ExportSpec
from runspec.labels import LabeledPair
from runspec.layout import DatasetCard
from stage_lab import FakeContext
from trainer.exporting import run_export


@dataclass
class Exported:
    """What one export left behind."""

    output: Path
    context: FakeContext
    card: DatasetCard

    def rows(self, split: str) -> list[dict[str, Any]]:
        if split not in self.card.splits:
            return []
        shards = self.card.splits[split].shards
        return [
            row
            for shard in shards
            for row in pq.read_table(self.output / shard).to_pylist()
        ]

    def all_rows(self) -> list[dict[str, Any]]:
        rows = self.rows("train") + self.rows("validation")
        return sorted(rows, key=lambda row: int(row["pair_id"]))

    def content(self, name: str) -> bytes:
        return gzip.decompress((self.output / "exports" / name).read_bytes())

    def lines(self, stem: str) -> list[dict[str, Any]]:
        content = self.content(f"{stem}.jsonl.gz")
        return [json.loads(line) for line in content.splitlines()]


Export = Callable[..., Exported]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Export comparisons through the real stage."""
    count = 0

    def run(pairs: list[dict[str, Any]], **changes: Any) -> Exported:
        nonlocal count
        count += 1
        folder = tmp_path / f"run-{count}"
        folder.mkdir()
        source = folder / "campaign.jsonl"
        lines = [LabeledPair.model_validate(one).model_dump_json() for one in pairs]
        source.write_text("".join(f"{line}\n" for line in lines))
        spec = ExportSpec(campaign=str(source), **changes)
        context = FakeContext(folder)
        run_export(spec, context=context)  # type: ignore[arg-type]
        output = folder / "output"
        card = DatasetCard.model_validate_json((output / "dataset.json").read_bytes())
        return Exported(output, context, card)

    return run
