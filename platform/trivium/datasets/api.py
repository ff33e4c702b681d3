"""`/api/v1/datasets`: tables of rows, their versions, and how new ones come in."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpResponse
from ninja import File, Form, Query, Router, Schema
from ninja.files import UploadedFile
from ninja.responses import Status
from pydantic import Field
from runspec import IngestSpec
from runspec.ingest import DatasetKind
from runspec.looking import Look

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import REPLAYED, once
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.datasets import looking, preview, queries, services
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs import kinds
from trivium.runs.api import RunOut, answer

router = Router()

OWN_FIELDS = {"kind", "source", "file_name"}
"""Fields of an ingest spec that follow from the request itself."""
MAX_ENVELOPE_BYTES = 1_000_000
"""What a multipart body may hold beside the file."""


class VersionOut(Schema):
    """An immutable table; its `id` is what `dataset` in a spec refers to."""

    id: int
    dataset_id: int
    number: int
    run_id: int | None
    source_name: str
    is_ready: bool
    rows: int
    size_bytes: int
    content_sha256: str
    card: dict[str, Any] = Field(description="Statistics and splits; empty at first.")
    created: datetime


class DatasetOut(Schema):
    """A name under which versions are kept."""

    id: int
    project: str
    name: str
    kind: str
    description: str
    created: datetime
    newest_version: VersionOut | None

    @staticmethod
    def resolve_project(dataset: Dataset) -> str:
        """Name the project by its slug."""
        return dataset.project.slug

    @staticmethod
    def resolve_newest_version(dataset: Dataset) -> DatasetVersion | None:
        """Return the version with the highest number."""
        return next(iter(dataset.versions.all()), None)


class DatasetPage(PageOf):
    """Datasets, newest first."""

    items: list[DatasetOut]


class VersionPage(PageOf):
    """Versions, newest first."""

    items: list[VersionOut]


class RowOut(Schema):
    """One row."""

    row: int = Field(description="Its number in the split, from 0.")
    values: dict[str, Any]
    is_cut: bool = Field(description="Whether a text was longer than shown.")


class RowsOut(Schema):
    """Some rows of one split."""

    items: list[RowOut]
    total: int = Field(description="Rows of this split.")


class RowsIn(Body):
    """Which rows to read."""

    split: str = Field(default="train", max_length=40)
    offset: int = Field(default=0, ge=0, lt=2**63)
    limit: int = Field(default=20, ge=1, le=100)
    max_characters: int = Field(
        default=10_000, ge=1, le=100_000, description="Longer texts are cut."
    )


KindOfRows = Literal["", DatasetKind]
KIND = "Kind of rows, short for `dataset_kind` of the settings; empty recognises it."


class ImportIn(Body):
    """A file sent before; or one on the server, or a URL, that an admin has allowed."""

    project: str = Field(description="Slug of the project.")
    path: str = Field(default="", max_length=500)
    upload: int | None = Field(
        default=None, ge=1, lt=2**63, description="Instead of a path: what was sent."
    )
    name: str = Field(default="", max_length=200)
    kind: KindOfRows = Field(default="", description=KIND)
    settings: dict[str, Any] = Field(
        default={},
        description="Fields of IngestSpec other than source and file_name; `columns` "
        "says which column of the file holds which part of a row.",
    )


class UploadIn(Body):
    """What comes beside an uploaded file."""

    project: str
    name: str = Field(default="", max_length=200)
    kind: KindOfRows = Field(default="", description=KIND)
    settings: str = Field(
        default="",
        max_length=100_000,
        description="JSON object: fields of IngestSpec other than source, file_name.",
    )


class KeptIn(Body):
    """What comes beside a file that is only kept."""

    project: str


class UploadOut(Schema):
    """A sent file that waits to be brought in; forgotten after a day."""

    id: int
    file_name: str
    size_bytes: int
    sha256: str
    created: datetime


class LookIn(Body):
    """How to read a file that is looked at."""

    kind: KindOfRows = Field(default="", description=KIND)
    settings: dict[str, Any] = Field(
        default={},
        description="Fields of IngestSpec other than source and file_name.",
    )


def visible_datasets(request: ApiRequest) -> QuerySet[Dataset]:
    """Return the datasets the caller may see, versions newest first."""
    return (
        queries.datasets_visible_to(request.user)
        .select_related("project")
        .prefetch_related(
            Prefetch("versions", DatasetVersion.objects.order_by("-number"))
        )
    )


@router.get("", response=DatasetPage, summary="List datasets")
def list_datasets(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    project: str = "",
    kind: KindOfRows = "",
) -> Page:
    """List the datasets you may see, newest first."""
    rows = visible_datasets(request)
    if project:
        rows = rows.filter(project=get_project(request.user, project))
    if kind:
        rows = rows.filter(kind=kind)
    return page(rows, cursor=cursor, limit=limit)


@router.post("", response={201: RunOut}, summary="Bring data in")
def import_dataset(request: ApiRequest, payload: ImportIn) -> HttpResponse:
    """Queue the ingest of a sent file, or of a path or URL below an allowed root."""
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)

    if bool(payload.path) == bool(payload.upload):
        raise ApiError(422, "give either a path or an upload", field="path")
    sent = (
        find(
            queries.uploads_visible_to(request.user).filter(project=project),
            payload.upload,
        )
        if payload.upload
        else None
    )
    source = looking.source_of(sent) if sent else services.allowed_source(payload.path)
    file_name = sent.file_name if sent else services.name_of_source(payload.path)
    # A look takes a second: outside of the transaction.
    chosen = with_kind(source, file_name, payload.kind, payload.settings)

    def act() -> RunOut:
        upload = sent or services.name_source(
            project=project, created_by=request.user, source=payload.path
        )
        return start_ingest(request, upload, payload.name, chosen)

    return once(request, act)


@router.post("/upload", response={201: RunOut}, summary="Upload a file")
def upload_dataset(
    request: ApiRequest,
    payload: Annotated[UploadIn, Form()],
    file: Annotated[UploadedFile, File()],
) -> HttpResponse:
    """Send a file and queue its ingest; the run's `output` is the new version."""
    refuse_too_large(request)
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)
    given = parse_settings(payload.settings)

    # Outside of the transaction: copying gigabytes would hold up every other writer.
    upload = services.create_upload(
        project=project,
        created_by=request.user,
        file_name=file.name or "upload",
        content=file,
    )
    try:
        source = looking.source_of(upload)
        chosen = with_kind(source, upload.file_name, payload.kind, given)
        response = once(
            request,
            lambda: start_ingest(request, upload, payload.name, chosen),
            fingerprint=json.dumps(
                [payload.model_dump(), upload.file_name, upload.sha256]
            ),
        )
    except BaseException:
        services.delete_upload(upload)
        raise
    if REPLAYED in response.headers:
        services.delete_upload(upload)
    return response


@router.post("/uploads", response={201: UploadOut}, summary="Send a file, to look at")
def keep_upload(
    request: ApiRequest,
    payload: Annotated[KeptIn, Form()],
    file: Annotated[UploadedFile, File()],
) -> Status[Upload]:
    """Keep a file without reading it: look at it, then bring it in or forget it."""
    refuse_too_large(request)
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)
    services.forget_stale_uploads(project=project)
    upload = services.create_upload(
        project=project,
        created_by=request.user,
        file_name=file.name or "upload",
        content=file,
    )
    return Status(201, upload)


def visible_upload(request: ApiRequest, upload_id: int) -> Upload:
    """Return what was sent to a project the caller may add data to."""
    upload = find(
        queries.uploads_visible_to(request.user).select_related("project"), upload_id
    )
    require_role(request.user, upload.project, Role.ENGINEER)
    return upload


@router.post("/uploads/{int:upload_id}/look", response=Look, summary="Look at a file")
def look_at_upload(request: ApiRequest, upload_id: int, payload: LookIn) -> Look:
    """Say what a sent file is taken for, with its first rows as they would be stored.

    Nothing is stored; a question or an error is part of the answer.
    """
    upload = visible_upload(request, upload_id)
    refuse_own_fields(payload.settings)
    chosen = dict(payload.settings)
    if payload.kind:
        chosen["dataset_kind"] = payload.kind
    return looking.look_at_upload(upload, chosen)


@router.delete(
    "/uploads/{int:upload_id}", response={204: None}, summary="Forget a sent file"
)
def forget_upload(request: ApiRequest, upload_id: int) -> Status[None]:
    """Forget a file that was not brought in; refused with 409 where a run reads it."""
    services.forget_upload(visible_upload(request, upload_id))
    return Status(204, None)


def refuse_too_large(request: ApiRequest) -> None:
    """Refuse a body whose length alone says that its file is too large."""
    length = int(request.headers.get("Content-Length") or 0)
    if length > settings.MAX_UPLOAD_BYTES + MAX_ENVELOPE_BYTES:
        raise ApiError(
            413, f"the file is larger than {settings.MAX_UPLOAD_BYTES:,} bytes"
        )


def with_kind(
    source: str, file_name: str, kind: str, chosen: dict[str, Any]
) -> dict[str, Any]:
    """Return the settings with the kind of rows, recognised unless it was given.

    A file that cannot be read is left to its run, which names every bad row.
    """
    if kind and chosen.get("dataset_kind", kind) != kind:
        raise ApiError(422, "kind and dataset_kind differ", field="kind")
    if kind:
        return {**chosen, "dataset_kind": kind}
    if {"dataset_kind", "text_column"} & set(chosen):
        return chosen
    columns = chosen.get("columns") or {}
    if columns:
        raise ApiError(422, "columns are those of a kind: give it too", field="kind")
    refuse_own_fields(chosen)
    found = looking.look(source, file_name, chosen)
    if found.question:
        raise ApiError(422, found.question, field="kind")
    return {**chosen, "dataset_kind": found.kind or "text"}


def refuse_own_fields(chosen: dict[str, Any]) -> None:
    """Refuse settings that follow from the request itself."""
    for field in OWN_FIELDS & set(chosen):
        raise ApiError(422, f"settings may not hold {field}", field=field)


def parse_settings(text: str) -> dict[str, Any]:
    """Read the `settings` part of a multipart body."""
    try:
        chosen = json.loads(text or "{}")
    except (ValueError, RecursionError):
        chosen = None
    if not isinstance(chosen, dict):
        raise ApiError(422, "settings is not a JSON object", field="settings")
    return chosen


def start_ingest(
    request: ApiRequest, upload: Upload, name: str, chosen: dict[str, Any]
) -> RunOut:
    """Queue an ingest run with the settings a caller chose."""
    refuse_own_fields(chosen)
    spec = IngestSpec(
        **{"source": str(upload.pk), "file_name": upload.file_name, **chosen}
    )
    run = kinds.start_run(
        project=upload.project, created_by=request.user, spec=spec, name=name
    )
    return answer(request, run.pk)


@router.get("/{int:dataset_id}", response=DatasetOut, summary="Get a dataset")
def get_dataset(request: ApiRequest, dataset_id: int) -> Dataset:
    """Get one dataset."""
    return find(visible_datasets(request), dataset_id)


@router.get(
    "/{int:dataset_id}/versions", response=VersionPage, summary="List its versions"
)
def list_versions(
    request: ApiRequest, dataset_id: int, cursor: Cursor, limit: Limit
) -> Page:
    """List the versions of a dataset, newest first."""
    dataset = find(queries.datasets_visible_to(request.user), dataset_id)
    return page(dataset.versions.all(), cursor=cursor, limit=limit)


def visible_version(
    request: ApiRequest, dataset_id: int, number: int
) -> DatasetVersion:
    """Return one version of a dataset the caller may see."""
    dataset = find(queries.datasets_visible_to(request.user), dataset_id)
    version = dataset.versions.filter(number=number).first() if number < 2**31 else None
    if version is None:
        raise Http404
    return version


@router.get(
    "/{int:dataset_id}/versions/{int:number}",
    response=VersionOut,
    summary="Get a version",
)
def get_version(request: ApiRequest, dataset_id: int, number: int) -> DatasetVersion:
    """Get one version by its number."""
    return visible_version(request, dataset_id, number)


@router.get(
    "/{int:dataset_id}/versions/{int:number}/rows",
    response=RowsOut,
    summary="Read rows",
)
def read_rows(
    request: ApiRequest,
    dataset_id: int,
    number: int,
    chosen: Annotated[RowsIn, Query()],
) -> RowsOut:
    """Read some rows of a split."""
    version = visible_version(request, dataset_id, number)
    try:
        rows, total = preview.read_rows(
            version, chosen.split, offset=chosen.offset, limit=chosen.limit
        )
    except KeyError:
        raise Http404 from None
    items = [
        describe_row(chosen.offset + at, row, chosen.max_characters)
        for at, row in enumerate(rows)
    ]
    return RowsOut(items=items, total=total)


def describe_row(number: int, row: dict[str, Any], most: int) -> RowOut:
    """Return a row with its long texts cut, and whether any was."""
    values = {name: cut_texts(value, most) for name, value in row.items()}
    return RowOut(row=number, values=values, is_cut=values != row)


def cut_texts(value: Any, most: int) -> Any:
    """Return a value with all texts in it cut."""
    if isinstance(value, str):
        return value[:most]
    if isinstance(value, list):
        return [cut_texts(item, most) for item in value]
    if isinstance(value, dict):
        return {name: cut_texts(item, most) for name, item in value.items()}
    return value


@router.delete(
    "/{int:dataset_id}/versions/{int:number}",
    response={204: None},
    summary="Delete a version",
)
def delete_version(request: ApiRequest, dataset_id: int, number: int) -> Status[None]:
    """Delete a version; refused with 409 while something needs it."""
    version = visible_version(request, dataset_id, number)
    require_role(request.user, version.dataset.project, Role.ENGINEER)
    services.delete_version(version)
    return Status(204, None)
