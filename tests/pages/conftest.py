"""A project at any point of its way from nothing to a model."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from runspec import IngestSpec, PretrainSpec, SftSpec, Spec, TokenizerSpec
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


@pytest.fixture
def bobs(client: Client, bob: User) -> Client:
    """A browser an engineer signed in with."""
    client.force_login(bob)
    return client


@pytest.fixture
def start(project: Project, bob: User) -> Callable[[Spec, str], Run]:
    def run(spec: Spec, name: str) -> Run:
        return kinds.start_run(project=project, created_by=bob, spec=spec, name=name)

    return run


@pytest.fixture
def ingest(project: Project, start: Callable[[Spec, str], Run]) -> Run:
    upload = Upload.objects.create(project=project, file_name="a.txt", path="uploads/x")
    return start(IngestSpec(source=str(upload.pk), file_name="a.txt"), "Fables")


@pytest.fixture
def version(ingest: Run) -> DatasetVersion:
    """Text that is ready."""
    finish(ingest)
    DatasetVersion.objects.update(path="datasets/fables", rows=12_000)
    return DatasetVersion.objects.get()


@pytest.fixture
def tokenizer(version: DatasetVersion, start: Callable[[Spec, str], Run]) -> Tokenizer:
    finish(start(TokenizerSpec(dataset=str(version.pk)), "Letters"))
    Tokenizer.objects.update(path="tokenizers/letters", vocabulary_size=258)
    return Tokenizer.objects.get()


@pytest.fixture
def pretrain(tokenizer: Tokenizer, start: Callable[[Spec, str], Run]) -> Run:
    """A pretraining run in the queue."""
    spec = PretrainSpec(dataset=str(tokenizer.dataset_id), tokenizer=str(tokenizer.pk))
    return start(spec, "Fabler")


@pytest.fixture
def model(pretrain: Run) -> LanguageModel:
    finish(pretrain)
    LanguageModel.objects.update(
        path="models/fabler", num_parameters=1_240_000, validation_loss=1.8761
    )
    return LanguageModel.objects.get()


@pytest.fixture
def examples(project: Project) -> DatasetVersion:
    """Instructions to fine-tune on."""
    dataset = Dataset.objects.create(
        project=project, name="Questions", kind="instructions"
    )
    return dataset.versions.create(number=1, path="datasets/questions", rows=900)


@pytest.fixture
def sft(
    model: LanguageModel, examples: DatasetVersion, start: Callable[[Spec, str], Run]
) -> Run:
    """A fine-tuning run that waits for its preflight."""
    spec = SftSpec(model=str(model.pk), datasets=(str(examples.pk),))
    return start(spec, "Guide")


def finish(run: Run) -> None:
    """End a run well, as far as pages are concerned."""
    Run.objects.filter(pk=run.pk).update(state=Run.State.SUCCEEDED)


@pytest.fixture
def set_running() -> Callable[[Run], None]:
    """Let a run be at work, a quarter done."""

    def change(run: Run) -> None:
        Run.objects.filter(pk=run.pk).update(
            state=Run.State.RUNNING,
            fence=1,
            lease_until=timezone.now() + timedelta(minutes=1),
            step=250,
            total_steps=1000,
            eta_s=90.0,
        )

    return change
