"""What an export writes, the ingest stage reads."""

import pyarrow.parquet as pq
import pytest
from export_lab import chat, pair, vote
from runspec import IngestSpec
from runspec.layout import DatasetCard
from stage_lab import FakeContext
from trainer.ingest import run_ingest

PARTS = ("prompt", "chosen", "rejected", "is_chat")


@pytest.mark.parametrize("stem", ["trl-explicit", "trl-implicit", "arena"])
def test_a_file_of_an_export_becomes_the_same_pairs(stem, export, tmp_path):
    talk = [*chat("one"), {"role": "assistant", "content": "1"}, *chat("two")]
    made = export(
        [
            pair(1, talk, ("yes", "no"), [vote(1, "a")]),
            pair(2, chat("x\n<b>\u202e"), ("so", "so so"), [vote(2, "b")]),
        ],
        validation_fraction=0,
    )
    name = f"{stem}.jsonl.gz"
    folder = tmp_path / "back"
    folder.mkdir()
    spec = IngestSpec(
        source=str(made.output / "exports" / name),
        file_name=name,
        dataset_kind="preferences",
        validation_fraction=0,
    )
    run_ingest(spec, context=FakeContext(folder))
    output = folder / "output"
    card = DatasetCard.model_validate_json((output / "dataset.json").read_bytes())
    [shard] = card.splits["train"].shards
    found = pq.read_table(output / shard).to_pylist()
    assert [[row[part] for part in PARTS] for row in found] == [
        [row[part] for part in PARTS] for row in made.all_rows()
    ]
