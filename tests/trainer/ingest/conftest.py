import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from runspec import IngestSpec
from runspec.layout import DatasetCard
from stage_lab import FakeContext, Recorder
from trainer.errors import BadInputError
from trainer.ingest import run_ingest

ROOT = Path(__file__).parents[3]


@dataclass
class Ingested:
    """What one ingest left behind."""

    folder: Path
    report: Recorder
    card: DatasetCard | None = None
    error: str = ""

    def rows(self, split: str = "train") -> list[dict[str, Any]]:
        assert self.card is not None, self.error
        if split not in self.card.splits:
            return []
        return [
            row
            for shard in self.card.splits[split].shards
            for row in pq.read_table(self.folder / "output" / shard).to_pylist()
        ]

    def all_rows(self) -> list[dict[str, Any]]:
        return self.rows("train") + self.rows("validation")

    def texts(self, split: str = "train") -> list[str]:
        return [row["text"] for row in self.rows(split)]

    def all_texts(self) -> list[str]:
        return self.texts("train") + self.texts("validation")

    def notes(self) -> str:
        assert self.card is not None, self.error
        return "; ".join(self.card.notes)

    def bad_rows(self) -> dict[str, Any]:
        return json.loads((self.folder / "output" / "bad_rows.json").read_text())


Ingest = Callable[..., Ingested]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """Ingest a file, or content given as text or bytes, through the real stage."""
    count = 0

    def run(source: Path | str | bytes, name: str = "", **settings: Any) -> Ingested:
        nonlocal count
        count += 1
        if not isinstance(source, Path):
            content = source.encode() if isinstance(source, str) else source
            source = tmp_path / f"source-{count}"
            source.write_bytes(content)
        folder = tmp_path / f"run-{count}"
        folder.mkdir()
        context = FakeContext(folder)
        made = Ingested(folder, context.report)
        spec = IngestSpec(source=str(source), file_name=name or source.name, **settings)
        try:
            run_ingest(spec, context=context)
        except BadInputError as error:
            made.error = f"{error} {error.advice}"
            names = {path.name for path in folder.rglob("*") if path.is_file()}
            assert names <= {"bad_rows.json"}, "a rejected file leaves no dataset"
            return made
        card = (folder / "output" / "dataset.json").read_text()
        made.card = DatasetCard.model_validate_json(card)
        return made

    return run


@pytest.fixture(scope="session")
def bad_files() -> Path:
    folder = ROOT.parent / "shared" / "data_bad"
    if not folder.is_dir():
        pytest.skip("the folder of broken inputs is not on this machine")
    return folder


@pytest.fixture(scope="session")
def real_files() -> Path:
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real texts is not on this machine")
    return folder
