"""A tokenizer of bytes that also knows "th", with its files in storage."""

from pathlib import Path

import pytest
from runspec import TokenizerSpec
from runspec.layout import TokenizerReport
from tokenizers import Tokenizer as Splitter
from tokenizers import decoders, models, pre_tokenizers
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.tokenizers.models import Tokenizer


@pytest.fixture
def version(project: Project) -> DatasetVersion:
    dataset = Dataset.objects.create(project=project, name="Fables")
    return DatasetVersion.objects.create(
        dataset=dataset, number=1, path="datasets/fables", rows=10
    )


@pytest.fixture
def waiting(project: Project, bob: User, version: DatasetVersion) -> Tokenizer:
    """A tokenizer whose run is in the queue."""
    spec = TokenizerSpec(dataset=str(version.pk))
    run = kinds.start_run(project=project, created_by=bob, spec=spec, name="Later")
    return Tokenizer.objects.get(run=run)


@pytest.fixture
def tokenizer(project: Project, version: DatasetVersion, tmp_path: Path) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: at for at, letter in enumerate([*letters, "th"])}
    splitter = Splitter(models.BPE(vocabulary, [("t", "h")]))
    splitter.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    splitter.decoder = decoders.ByteLevel()
    folder = tmp_path / "made"
    folder.mkdir()
    splitter.save(str(folder / "tokenizer.json"))
    report = TokenizerReport(
        algorithm="bpe",
        vocabulary_size=258,
        special_tokens={"<|endoftext|>": 257},
        bytes_per_token=1.0625,
        characters_per_token=1.05,
        unused_tokens=64,
        unknown_tokens=0,
        measured_bytes=12_345,
        measured_on="validation",
        is_lossless=True,
        sha256="ab" * 32,
    )
    return Tokenizer.objects.create(
        project=project,
        name="Letters",
        dataset=version,
        algorithm="bpe",
        path=storage.publish(folder, "tokenizers/letters"),
        sha256=report.sha256,
        vocabulary_size=258,
        report=report.model_dump(mode="json"),
    )
