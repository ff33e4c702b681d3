"""A project with data, a tokenizer and runs in several states."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from runspec import IngestSpec, PretrainSpec, SftSpec, TokenizerSpec
from runspec.layout import DatasetCard, Split
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.metrics.services import Point, append_points, stream_end, take_stream
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.models import Attempt, Run
from trivium.tokenizers.models import Tokenizer


@pytest.fixture
def bobs(client: Client, bob: User) -> Client:
    """A browser an engineer signed in with."""
    client.force_login(bob)
    return client


@pytest.fixture
def ingest(project, bob) -> Run:
    """A queued ingest run, and with it a dataset version being prepared."""
    upload = Upload.objects.create(
        project=project, created_by=bob, file_name="corpus.txt", path="uploads/x"
    )
    spec = IngestSpec(source=str(upload.pk), file_name="corpus.txt")
    return kinds.start_run(project=project, created_by=bob, spec=spec, name="Corpus")


@pytest.fixture
def version(ingest) -> DatasetVersion:
    return DatasetVersion.objects.get(run=ingest)


@pytest.fixture
def tokenizer_run(project, bob, version) -> Run:
    spec = TokenizerSpec(dataset=str(version.pk), vocabulary_size=300)
    return kinds.start_run(project=project, created_by=bob, spec=spec, name="Tok")


@pytest.fixture
def pretrain(project, bob, version, tokenizer_run) -> Run:
    """A pretraining run that waits for its data and tokenizer."""
    tokenizer = Tokenizer.objects.get(run=tokenizer_run)
    spec = PretrainSpec(dataset=str(version.pk), tokenizer=str(tokenizer.pk))
    return kinds.start_run(project=project, created_by=bob, spec=spec, name="Model")


CONFIG = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
    "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 300,
    "max_position_embeddings": 128,
}  # fmt: skip


@pytest.fixture
def make_model(project: Project, tmp_path: Path) -> Callable[..., LanguageModel]:
    """A model with its small files in storage: `make_model("Fabler", "encoder")`."""

    def make(
        name: str = "Fabler", architecture: str = "decoder", *, template: str = ""
    ) -> LanguageModel:
        folder = tmp_path / f"model of {name}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(CONFIG))
        special = {"eos_token": {"content": "<|end|>"}, "chat_template": template}
        (folder / "tokenizer_config.json").write_text(json.dumps(special))
        number = LanguageModel.objects.count()
        return LanguageModel.objects.create(
            project=project,
            name=name,
            stage="base",
            architecture=architecture,
            family={"decoder": "llama", "encoder": "bert"}.get(architecture, "t5"),
            path=storage.publish(folder, f"models/made-{number}"),
            num_parameters=1_240_000,
        )

    return make


@pytest.fixture
def make_dataset(project: Project, tmp_path: Path) -> Callable[..., DatasetVersion]:
    """A dataset of a kind that is ready: `make_dataset("instructions", [row, …])`."""

    def make(kind: str, rows: list[dict[str, Any]], name: str = "") -> DatasetVersion:
        folder = tmp_path / f"dataset of {kind} {name}"
        folder.mkdir()
        table = pa.Table.from_pylist(rows)
        pq.write_table(table, folder / "train-0.parquet")
        split = Split(rows=len(rows), bytes=1, characters=1, shards=["train-0.parquet"])
        card = DatasetCard(
            kind=kind, columns=table.column_names, rows=len(rows), bytes=1,
            characters=1, distinct_rows=len(rows), duplicate_rows=0,
            length_histogram=[], splits={"train": split}, content_sha256="ab" * 32,
            source_name="rows.jsonl", source_sha256="cd" * 32,
        )  # fmt: skip
        dataset = Dataset.objects.create(
            project=project, name=name or kind.capitalize(), kind=kind
        )
        return DatasetVersion.objects.create(
            dataset=dataset,
            number=1,
            path=storage.publish(folder, f"datasets/made-{dataset.pk}"),
            card=card.model_dump(mode="json"),
            rows=len(rows),
        )

    return make


@pytest.fixture
def model(make_model) -> LanguageModel:
    """A base model that is ready."""
    return make_model()


@pytest.fixture
def instructions(make_dataset) -> DatasetVersion:
    rows = [
        {"prompt": f"Where does {who} live?", "completion": f"{who} lives in Ulm."}
        for who in ("Ada", "Ben", "Cleo", "Dan")
    ]
    return make_dataset("instructions", rows)


@pytest.fixture
def sft(project, bob, model, instructions) -> Run:
    """A fine-tuning run that waits for its preflight."""
    spec = SftSpec(model=str(model.pk), datasets=(str(instructions.pk),))
    return kinds.start_run(project=project, created_by=bob, spec=spec, name="Guide")


@pytest.fixture
def preflight(sft) -> Run:
    """The preflight of the fine-tuning run."""
    return sft.depends_on.get()


@pytest.fixture
def set_state():
    """Put a run into a state as if a worker had brought it there."""

    def put(run: Run, state: str, **changes) -> Run:
        if state in Run.LIVE:
            changes.setdefault("lease_until", timezone.now() + timedelta(minutes=1))
            changes.setdefault("fence", 1)
            Attempt.objects.get_or_create(
                run=run, fence=changes["fence"], defaults={"devices": ["cpu:0"]}
            )
        Run.objects.filter(pk=run.pk).update(
            state=state, version=F("version") + 1, **changes
        )
        run.refresh_from_db()
        return run

    return put


@pytest.fixture
def add_points():
    """Store points of curves: `add_points(run, {"train/loss": [(1, 3.0)]})`."""

    def add(run: Run, curves: dict[str, list[tuple[int, float]]], fence: int = 1):
        seen = stream_end(run.pk)
        if seen.fence != fence:
            take_stream(
                run_id=run.pk, fence=fence, seen=seen, last_points=[], resume_step=None
            )
            seen = stream_end(run.pk)
        append_points(
            run_id=run.pk,
            fence=fence,
            points=[
                Point(name, step, value)
                for name, pairs in curves.items()
                for step, value in pairs
            ],
            start=seen.offset,
            end=seen.offset + 1,
        )

    return add


@pytest.fixture
def url(project: Project):
    """Addresses in the project: `url("detail", run)`."""

    def make(name: str, run: Run | None = None, *more: int) -> str:
        args = [project.slug, *([run.pk] if run else []), *more]
        return reverse(f"runs:{name}", args=args)

    return make
