"""`/api/v1/datasets`, the part that takes files: send, look, forget."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import File, Form, Router, Schema
from ninja.files import UploadedFile
from ninja.responses import Status
from pydantic import Field
from runspec import IngestSpec
from runspec.ingest import DatasetKind
from runspec.looking import Look

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.pagination import find
from trivium.api.schema import Body
from trivium.api.sending import (
    parse_settings,
    refuse_own_fields,
    refuse_too_large,
    start_once,
)
from trivium.datasets import looking, queries, services
from trivium.datasets.models import Upload
from trivium.datasets.sending import take_source
from trivium.datasets.services import forgotten_on_failure
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs import kinds
from trivium.runs.api import RunOut, answer

router = Router()

OWN_FIELDS = {"kind", "source", "file_name"}
"""Fields of an ingest spec that follow from the request itself."""

KindOfRows = Literal["", DatasetKind]
KIND = "Kind of rows, short for `dataset_kind` of the settings; empty recognises it."


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
    upload = take_source(project=project, created_by=request.user, file=file, path="")
    with forgotten_on_failure(upload):
        source = looking.source_of(upload)
        chosen = with_kind(source, upload.file_name, payload.kind, given)
    return start_once(
        request,
        upload,
        payload,
        lambda: start_ingest(request, upload, payload.name, chosen),
    )


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
    upload = take_source(project=project, created_by=request.user, file=file, path="")
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
    refuse_own_fields(payload.settings, OWN_FIELDS)
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
    refuse_own_fields(chosen, OWN_FIELDS)
    found = looking.look(source, file_name, chosen)
    if found.question:
        raise ApiError(422, found.question, field="kind")
    return {**chosen, "dataset_kind": found.kind or "text"}


def start_ingest(
    request: ApiRequest, upload: Upload, name: str, chosen: dict[str, Any]
) -> RunOut:
    """Queue an ingest run with the settings a caller chose."""
    refuse_own_fields(chosen, OWN_FIELDS)
    spec = IngestSpec(
        **{"source": str(upload.pk), "file_name": upload.file_name, **chosen}
    )
    run = kinds.start_run(
        project=upload.project, created_by=request.user, spec=spec, name=name
    )
    return answer(request, run.pk)
