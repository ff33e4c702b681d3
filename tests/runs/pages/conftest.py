"""A project with data, a tokenizer and runs in several states."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from runspec import IngestSpec, PretrainSpec, TokenizerSpec
from trivium.accounts.models import User
from trivium.datasets.models import DatasetVersion, Upload
from trivium.metrics.services import Point, append_points, stream_end, take_stream
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
