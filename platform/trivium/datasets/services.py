"""Every write to datasets, their versions and uploads."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import tinyworld
from django.conf import settings
from django.core.files.base import File
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from runspec import ExportSpec, IngestSpec
from runspec.ingest import DatasetKind
from runspec.layout import DATASET_CARD, DatasetCard

from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.datasets.queries import unused_uploads, what_uses
from trivium.naming import clean_name, name_from_file
from trivium.projects.models import Project
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run

EXPORTED_KIND = "preferences"
"""What rows made of votes are."""
STALE_AFTER = timedelta(days=1)
"""A file sent so long ago that nobody will come back to it."""


class Sample(NamedTuple):
    """A bundled data set about Tiny World."""

    name: str
    file_name: str
    write: Callable[[IO[bytes]], None]


SAMPLES: dict[DatasetKind, Sample] = {
    "text": Sample("Tiny World", "tiny-world.jsonl", tinyworld.write_corpus),
    "instructions": Sample(
        "Tiny World questions", "questions.jsonl", tinyworld.write_instructions
    ),
    "preferences": Sample(
        "Tiny World preferences", "preferences.jsonl", tinyworld.write_preferences
    ),
    "prompts": Sample("Tiny World prompts", "prompts.jsonl", tinyworld.write_prompts),
}
"""By the kind of their rows."""


class InUseError(ValueError):
    """Something still depends on what should be deleted; the text names it."""


def create_upload(
    *,
    project: Project,
    created_by: User,
    file_name: str,
    content: "File[bytes] | BinaryIO",
) -> Upload:
    """Keep a sent file under a generated name until it is ingested.

    Raises:
        SubmitError: it is empty, or larger than `MAX_UPLOAD_BYTES`.
    """
    key, path = storage.new_upload()
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("wb") as file:
            while block := content.read(1 << 20):
                size += len(block)
                if size > settings.MAX_UPLOAD_BYTES:
                    raise SubmitError(
                        f"the file is larger than {settings.MAX_UPLOAD_BYTES:,} bytes; "
                        "ask an admin to allow a server path instead",
                        field="file",
                    )
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if not size:
            raise SubmitError("the file is empty", field="file")
        storage.publish(path, key)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Upload.objects.create(
        project=project,
        created_by=created_by,
        file_name=file_name[:255],
        path=key,
        size_bytes=size,
        sha256=digest.hexdigest(),
    )


def delete_upload(upload: Upload) -> None:
    """Forget a sent file nothing was made of."""
    upload.delete()
    if not upload.is_external:
        storage.delete(upload.path)


def forget_upload(upload: Upload) -> None:
    """Delete what was sent, unless a run reads it.

    Raises:
        InUseError: a run does, or may do so again when it is tried again.
    """
    if not unused_uploads(upload.project).filter(pk=upload.pk).exists():
        raise InUseError(f"a run reads {upload.file_name}")
    delete_upload(upload)


def forget_stale_uploads(*, project: Project) -> None:
    """Delete what was sent to a project long ago and never brought in."""
    long_ago = timezone.now() - STALE_AFTER
    for upload in unused_uploads(project).filter(created__lt=long_ago):
        delete_upload(upload)


def name_source(
    *, project: Project, created_by: User, source: str, may_be_folder: bool = False
) -> Upload:
    """Refer to a server-side path or URL below one of `TRIVIUM_IMPORT_ROOTS`.

    Raises:
        SubmitError: it lies outside of them, or is not there.
    """
    allowed = allowed_source(source, may_be_folder=may_be_folder)
    return Upload.objects.create(
        project=project,
        created_by=created_by,
        file_name=name_of_source(source),
        path=allowed,
        is_external=True,
    )


def name_of_source(source: str) -> str:
    """Return what a path or URL calls its file."""
    return source.rstrip("/").rsplit("/", 1)[-1][:255]


def allowed_source(source: str, *, may_be_folder: bool = False) -> str:
    """Return a path or URL as it may be read.

    Raises:
        SubmitError: it lies outside of the allowed places, or is not there.
    """
    if not settings.IMPORT_ROOTS:
        raise SubmitError(
            "no server path may be read here; an admin allows some with "
            "TRIVIUM_IMPORT_ROOTS",
            field="path",
        )
    if "://" in source:
        if ".." in source or "%" in source or "@" in source or "\\" in source:
            raise SubmitError(f"{source!r} is not a plain URL", field="path")
        if any(
            "://" in root and source.startswith(root.rstrip("/") + "/")
            for root in settings.IMPORT_ROOTS
        ):
            return source
    else:
        path = Path(source).resolve() if "\0" not in source else Path()
        for root in settings.IMPORT_ROOTS:
            if "://" not in root and path.is_relative_to(Path(root).resolve()):
                if not (path.is_file() or (may_be_folder and path.is_dir())):
                    what = "a file or folder" if may_be_folder else "a file"
                    raise SubmitError(f"{source!r} is not {what}", field="path")
                return str(path)
    raise SubmitError(
        f"{source!r} lies outside the allowed places: "
        + ", ".join(settings.IMPORT_ROOTS),
        field="path",
    )


def claim_version(run: Run, spec: IngestSpec | ExportSpec, name: str) -> str:
    """Make the version a run will fill; returns the dataset's name.

    A version whose run ended without filling it is taken over.
    """
    kind, source_name = _to_be_made(spec)
    cleaned = clean_name(name) or name_from_file(source_name)
    dataset, _ = Dataset.objects.select_for_update().get_or_create(
        project=run.project,
        name=cleaned,
        defaults={"kind": kind, "created_by": run.created_by},
    )
    if dataset.kind != kind:
        label = dict(Dataset.Kind.choices).get(kind, kind)
        raise SubmitError(
            f"dataset {cleaned!r} holds {dataset.get_kind_display().lower()}, not "
            f"{label.lower()}; give it another name",
            field="name",
        )
    abandoned = dataset.versions.filter(path="", run__state__in=Run.TERMINAL).first()
    if abandoned is not None:
        DatasetVersion.objects.filter(pk=abandoned.pk).update(
            run=run, source_name=source_name
        )
        return cleaned
    newest = dataset.versions.aggregate(newest=Max("number"))["newest"] or 0
    DatasetVersion.objects.create(
        dataset=dataset, number=newest + 1, run=run, source_name=source_name
    )
    return cleaned


def _to_be_made(spec: IngestSpec | ExportSpec) -> tuple[str, str]:
    """Return the kind of rows a run makes, and what its page names as their source."""
    if isinstance(spec, IngestSpec):
        return spec.dataset_kind, spec.file_name
    return EXPORTED_KIND, spec.source_name or "Votes of a campaign"


def publish_version(_run: Run, output: Path, _result: dict[str, Any]) -> dict[str, Any]:
    """Publish the rows of a finished run; return what its version holds then."""
    card = DatasetCard.model_validate_json((output / DATASET_CARD).read_bytes())
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    key = storage.publish(output, f"datasets/{card.content_sha256}")
    return {
        "path": key,
        "content_sha256": card.content_sha256,
        "card": card.model_dump(mode="json"),
        "rows": card.rows,
        "size_bytes": size,
    }


@contextmanager
def forgotten_on_failure(upload: Upload | None) -> Iterator[None]:
    """Forget what was sent where what should become of it was refused."""
    try:
        yield
    except BaseException:
        if upload is not None:
            delete_upload(upload)
        raise


def add_sample(
    *, project: Project, created_by: User, kind: DatasetKind = "text"
) -> Run:
    """Queue the ingest of a bundled data set, by the kind of its rows."""
    from trivium.runs.kinds import start_run  # it imports this module

    sample = SAMPLES[kind]
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
        sample.write(file)
        file.seek(0)
        upload = create_upload(
            project=project,
            created_by=created_by,
            file_name=sample.file_name,
            content=file,
        )
    spec = IngestSpec(
        source=str(upload.pk), file_name=upload.file_name, dataset_kind=kind
    )
    with forgotten_on_failure(upload):
        return start_run(
            project=project, created_by=created_by, spec=spec, name=sample.name
        )


@transaction.atomic
def delete_version(version: DatasetVersion) -> None:
    """Delete a version nothing depends on; its files go when no version shares them.

    Raises:
        InUseError: a tokenizer, a model or an unfinished run uses it.
    """
    users = what_uses(version)
    if users:
        raise InUseError(f"{version} is used by {', '.join(users)}")

    path = version.path
    dataset = version.dataset
    version.delete()
    if not dataset.versions.exists():
        dataset.delete()
    if path and not DatasetVersion.objects.filter(path=path).exists():
        transaction.on_commit(lambda: storage.delete(path))


__all__ = [
    "SAMPLES",
    "InUseError",
    "add_sample",
    "allowed_source",
    "claim_version",
    "create_upload",
    "delete_upload",
    "delete_version",
    "forget_stale_uploads",
    "forget_upload",
    "forgotten_on_failure",
    "name_of_source",
    "name_source",
    "publish_version",
]
