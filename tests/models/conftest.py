"""A model with its files in storage, and one that still waits for its run."""

from pathlib import Path

import pytest
from runspec import PretrainSpec
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

CARD = """---
license: mit
---
# Fabler

It tells **fables**. <script>alert(1)</script>

| a | b |
|---|---|
| 1 | 2 |

[bad](javascript:alert(1)) [good](https://example.org/) ![far](https://example.org/x)
"""


@pytest.fixture
def waiting(project: Project, bob: User) -> LanguageModel:
    """A model whose run is in the queue."""
    dataset = Dataset.objects.create(project=project, name="Fables")
    version = DatasetVersion.objects.create(
        dataset=dataset, number=1, path="datasets/fables", rows=10
    )
    tokenizer = Tokenizer.objects.create(
        project=project, name="Letters", dataset=version, path="tokenizers/letters"
    )
    spec = PretrainSpec(dataset=str(version.pk), tokenizer=str(tokenizer.pk))
    run = kinds.start_run(project=project, created_by=bob, spec=spec, name="Fabler")
    return LanguageModel.objects.get(run=run)


@pytest.fixture
def model(waiting: LanguageModel, tmp_path: Path) -> LanguageModel:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 9_000)
    files = {
        file.name: {"size": file.stat().st_size, "sha256": "cd" * 32}
        for file in sorted(folder.iterdir())
    }
    Run.objects.update(state=Run.State.SUCCEEDED)
    LanguageModel.objects.update(
        path=storage.publish(folder, "models/fabler"),
        files=files,
        num_parameters=1_240_000,
        size_bytes=2_304_500,
        validation_loss=1.8765,
    )
    return LanguageModel.objects.get()
