"""A dataset whose rows lie in storage, and one whose run is in the queue."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from runspec import IngestSpec
from runspec.layout import DatasetCard, Split
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.projects.models import Project
from trivium.runs import kinds

HOSTILE = '<script>alert("row")</script> \u202egnp.exe'
NUM_TRAIN = 45


@pytest.fixture
def bobs(client: Client, bob: User) -> Client:
    """A browser an engineer signed in with."""
    client.force_login(bob)
    return client


@pytest.fixture
def waiting(project: Project, bob: User) -> DatasetVersion:
    """A version whose ingest run is in the queue."""
    upload = Upload.objects.create(
        project=project, created_by=bob, file_name="corpus.txt", path="uploads/x"
    )
    spec = IngestSpec(source=str(upload.pk), file_name="corpus.txt")
    run = kinds.start_run(project=project, created_by=bob, spec=spec, name="Corpus")
    return DatasetVersion.objects.get(run=run)


@pytest.fixture
def version(project: Project, tmp_path: Path) -> DatasetVersion:
    """Forty-five rows to train on, in two shards, and one hostile row beside them."""
    folder = tmp_path / "made"
    folder.mkdir()
    rows = [f"Fable number {at}." for at in range(1, NUM_TRAIN + 1)]
    splits = {
        "train": _write(folder, "train", [rows[:30], rows[30:]]),
        "validation": _write(folder, "validation", [[HOSTILE]]),
    }
    card = DatasetCard(
        kind="text",
        columns=["text"],
        rows=46,
        bytes=900,
        characters=880,
        distinct_rows=44,
        duplicate_rows=2,
        length_histogram=[(8, 0), (16, 9), (32, 36), (64, 1)],
        splits=splits,
        content_sha256="ab" * 32,
        source_name="fables.txt",
        source_sha256="cd" * 32,
        notes=["2 rows are <b>repeated</b>"],
    )
    dataset = Dataset.objects.create(project=project, name="Fables")
    return DatasetVersion.objects.create(
        dataset=dataset,
        number=1,
        source_name=card.source_name,
        path=storage.publish(folder, "datasets/fables"),
        content_sha256=card.content_sha256,
        card=card.model_dump(mode="json"),
        rows=card.rows,
        size_bytes=1234,
    )


def _write(folder: Path, name: str, shards: list[list[str]]) -> Split:
    names = [f"{name}-{at}.parquet" for at in range(len(shards))]
    for file, rows in zip(names, shards, strict=True):
        pq.write_table(pa.table({"text": rows}), folder / file, row_group_size=7)
    return Split(rows=sum(map(len, shards)), bytes=450, characters=440, shards=names)
