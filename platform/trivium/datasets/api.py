"""`/api/v1/datasets`: tables of rows, their versions, and starting a new one."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import once
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.datasets import looking, preview, queries, services
from trivium.datasets.download import send_rows
from trivium.datasets.importing_api import KIND, KindOfRows, start_ingest, with_kind
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.api import RunOut

router = Router()


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


@router.get(
    "/{int:dataset_id}/versions/{int:number}/rows.jsonl", summary="Download rows"
)
def download_rows(
    request: ApiRequest,
    dataset_id: int,
    number: int,
    split: Annotated[str, Query(max_length=40)] = "",
    form: Literal["", "explicit", "implicit", "kto"] = "",
) -> StreamingHttpResponse:
    """Send all rows, or those of one split, as JSON lines.

    Without a `form` they are as stored; preferences also come as TRL reads them:
    `explicit`, `implicit`, or `kto` (two rows a pair, each with a label).
    """
    version = visible_version(request, dataset_id, number)
    return send_rows(version, split=split, form=form)


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
