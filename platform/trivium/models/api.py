"""`/api/v1/models`: weights with their files, and how new ones come in."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from ninja import File, Form, Query, Router, Schema
from ninja.files import UploadedFile
from ninja.responses import Status
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.files import FileOut, send_file
from trivium.api.idempotency import once
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.api.sending import (
    parse_settings,
    refuse_own_fields,
    refuse_too_large,
    start_once,
)
from trivium.datasets.models import Upload
from trivium.datasets.sending import take_source
from trivium.datasets.services import forgotten_on_failure, name_source
from trivium.models import queries, services
from trivium.models.download import entries_of, send_zip
from trivium.models.importing import start_import
from trivium.models.models import LanguageModel
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.api import RunOut, answer

router = Router()

OWN_FIELDS = {"kind", "source", "file_name", "hub_id"}
"""Fields of an import spec that follow from the request itself."""
Part = Literal["whole", "merged", "adapter"]


class ModelOut(Schema):
    """A model; being prepared while `is_ready` is false."""

    id: int
    project: str
    name: str
    stage: str
    architecture: str
    family: str
    run_id: int | None
    dataset_version_id: int | None = Field(alias="dataset_id")
    tokenizer_id: int | None
    parents: list[int]
    is_ready: bool
    num_parameters: int
    size_bytes: int
    validation_loss: float | None
    has_adapter: bool
    licence: str
    notes: str
    warnings: list[str] = Field(description="To be read before it is used.")
    recognised: dict[str, Any] = Field(description="What an import found out.")
    origin: dict[str, Any] = Field(description="Where an imported model came from.")
    created: datetime

    @staticmethod
    def resolve_project(model: LanguageModel) -> str:
        """Name the project by its slug."""
        return model.project.slug

    @staticmethod
    def resolve_parents(model: LanguageModel) -> list[int]:
        """List the models it was made from."""
        return [parent.pk for parent in model.parents.all()]


class ModelPage(PageOf):
    """Models, newest first."""

    items: list[ModelOut]


class ModelFiles(Schema):
    """The files of a model, in the Hugging Face layout."""

    items: list[FileOut]


class ModelFilter(Body):
    """Which models to list."""

    project: str = Field(default="", description="Slug of a project.")
    stage: LanguageModel.Stage | None = None
    architecture: LanguageModel.Architecture | None = None
    family: str = Field(default="", max_length=40)
    q: str = Field(default="", max_length=200, description="Part of the name.")


class ImportIn(Body):
    """A folder or archive of the server that an admin allowed, or a Hub id."""

    project: str = Field(description="Slug of the project.")
    path: str = Field(default="", max_length=500)
    hub_id: str = Field(default="", max_length=193)
    name: str = Field(default="", max_length=200)
    settings: dict[str, Any] = Field(
        default={},
        description="Fields of ImportSpec other than source, file_name and hub_id.",
    )


class UploadIn(Body):
    """What comes beside an uploaded archive."""

    project: str
    name: str = Field(default="", max_length=200)
    settings: str = Field(
        default="",
        max_length=100_000,
        description="JSON object: fields of ImportSpec other than source, file_name.",
    )


class DescribeIn(Body):
    """What people say of a model; a field left out stays as it is."""

    licence: str | None = Field(default=None, max_length=100)
    notes: str | None = Field(default=None, max_length=20_000)


@router.get("", response=ModelPage, summary="List models")
def list_models(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    chosen: Annotated[ModelFilter, Query()],
) -> Page:
    """List the models you may see, newest first."""
    rows = (
        queries.models_visible_to(request.user)
        .select_related("project")
        .prefetch_related("parents")
    )
    if chosen.project:
        rows = rows.filter(project=get_project(request.user, chosen.project))
    wanted = chosen.model_dump(exclude={"project"}, exclude_defaults=True)
    rows = queries.narrowed(rows, **{k: v for k, v in wanted.items() if v})
    return page(rows, cursor=cursor, limit=limit)


@router.post("", response={201: RunOut}, summary="Import from server or Hub")
def import_model(request: ApiRequest, payload: ImportIn) -> HttpResponse:
    """Queue the import of a server-side folder or archive, or of a Hub's model."""
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)
    if bool(payload.path) == bool(payload.hub_id):
        raise ApiError(422, "give either path or hub_id", field="path")
    refuse_own_fields(payload.settings, OWN_FIELDS)

    def act() -> RunOut:
        upload = None
        chosen = dict(payload.settings)
        if payload.path:
            upload = name_source(
                project=project,
                created_by=request.user,
                source=payload.path,
                may_be_folder=True,
            )
        else:
            chosen["hub_id"] = payload.hub_id
        with forgotten_on_failure(upload):
            run = start_import(
                project=project,
                created_by=request.user,
                upload=upload,
                name=payload.name,
                settings=chosen,
            )
        return answer(request, run.pk)

    return once(request, act)


@router.post("/upload", response={201: RunOut}, summary="Upload a model")
def upload_model(
    request: ApiRequest,
    payload: Annotated[UploadIn, Form()],
    file: Annotated[UploadedFile, File()],
) -> HttpResponse:
    """Send an archive and queue its import; the run's `output` is the new model."""
    refuse_too_large(request)
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)
    chosen = parse_settings(payload.settings)
    refuse_own_fields(chosen, OWN_FIELDS)

    # Outside of the transaction: copying gigabytes would hold up every other writer.
    upload = take_source(project=project, created_by=request.user, file=file, path="")
    return start_once(
        request,
        upload,
        payload,
        lambda: _start_upload(request, upload, payload.name, chosen),
    )


def _start_upload(
    request: ApiRequest, upload: Upload, name: str, chosen: dict[str, Any]
) -> RunOut:
    run = start_import(
        project=upload.project,
        created_by=request.user,
        upload=upload,
        name=name,
        settings=chosen,
    )
    return answer(request, run.pk)


def visible_model(request: ApiRequest, model_id: int) -> LanguageModel:
    """Return a model the caller may see."""
    return find(
        queries.models_visible_to(request.user).select_related("project"), model_id
    )


@router.get("/{int:model_id}", response=ModelOut, summary="Get a model")
def get_model(request: ApiRequest, model_id: int) -> LanguageModel:
    """Get one model."""
    return visible_model(request, model_id)


@router.patch("/{int:model_id}", response=ModelOut, summary="Describe a model")
def describe_model(
    request: ApiRequest, model_id: int, payload: DescribeIn
) -> LanguageModel:
    """Change its licence and notes, which become part of its card."""
    model = visible_model(request, model_id)
    require_role(request.user, model.project, Role.ENGINEER)
    services.describe_model(model, licence=payload.licence, notes=payload.notes)
    return model


@router.get("/{int:model_id}/download", summary="Download as a zip")
def download_model(
    request: ApiRequest, model_id: int, part: Part = "whole"
) -> HttpResponse | StreamingHttpResponse:
    """Send its files as one zip; `Range` goes on with a broken download."""
    return send_zip(request, visible_model(request, model_id), part)


@router.get("/{int:model_id}/files", response=ModelFiles, summary="List its files")
def list_model_files(request: ApiRequest, model_id: int) -> ModelFiles:
    """List the files with size and SHA-256; none while it is being prepared."""
    model = visible_model(request, model_id)
    if not model.is_ready:
        return ModelFiles(items=[])
    return ModelFiles(
        items=[
            FileOut(
                name=entry.name,
                size=entry.size,
                sha256=hashlib.sha256(entry.content).hexdigest()
                if entry.path is None
                else model.files[entry.name]["sha256"],
            )
            for entry in entries_of(model)
        ]
    )


@router.get("/{int:model_id}/files/{path:name}", summary="Download a file")
def download_model_file(
    request: ApiRequest, model_id: int, name: str
) -> FileResponse | HttpResponse:
    """Download one file; the card as it now is."""
    model = visible_model(request, model_id)
    if model.is_ready:
        for entry in entries_of(model):
            if entry.name == name and entry.path is None:
                return _send_text(name, entry.content)
    return send_file(model, name)


def _send_text(name: str, content: bytes) -> HttpResponse:
    response = HttpResponse(content, content_type="application/octet-stream")
    file_name = name.rpartition("/")[2]
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response["Content-Security-Policy"] = "sandbox"
    return response


@router.delete("/{int:model_id}", response={204: None}, summary="Delete a model")
def delete_model(request: ApiRequest, model_id: int) -> Status[None]:
    """Delete a model and its files; refused with 409 while something needs it."""
    model = visible_model(request, model_id)
    require_role(request.user, model.project, Role.ENGINEER)
    services.delete_model(model)
    return Status(204, None)
