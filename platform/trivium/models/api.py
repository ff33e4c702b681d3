"""`/api/v1/models`."""

from datetime import datetime

from django.http import FileResponse
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.files import FileOut, send_file
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.models import queries, services
from trivium.models.models import LanguageModel
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role

router = Router()


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


@router.get("", response=ModelPage, summary="List models")
def list_models(
    request: ApiRequest, cursor: Cursor, limit: Limit, project: str = ""
) -> Page:
    """List the models you may see, newest first."""
    rows = (
        queries.models_visible_to(request.user)
        .select_related("project")
        .prefetch_related("parents")
    )
    if project:
        rows = rows.filter(project=get_project(request.user, project))
    return page(rows, cursor=cursor, limit=limit)


def visible_model(request: ApiRequest, model_id: int) -> LanguageModel:
    """Return a model the caller may see."""
    return find(
        queries.models_visible_to(request.user).select_related("project"), model_id
    )


@router.get("/{int:model_id}", response=ModelOut, summary="Get a model")
def get_model(request: ApiRequest, model_id: int) -> LanguageModel:
    """Get one model."""
    return visible_model(request, model_id)


@router.get("/{int:model_id}/files", response=ModelFiles, summary="List its files")
def list_model_files(request: ApiRequest, model_id: int) -> ModelFiles:
    """List the files with size and SHA-256; none while it is being prepared."""
    model = visible_model(request, model_id)
    return ModelFiles(
        items=[FileOut(name=name, **entry) for name, entry in model.files.items()]
    )


@router.get("/{int:model_id}/files/{path:name}", summary="Download a file")
def download_model_file(request: ApiRequest, model_id: int, name: str) -> FileResponse:
    """Download one file."""
    return send_file(visible_model(request, model_id), name)


@router.delete("/{int:model_id}", response={204: None}, summary="Delete a model")
def delete_model(request: ApiRequest, model_id: int) -> Status[None]:
    """Delete a model and its files; refused with 409 while something needs it."""
    model = visible_model(request, model_id)
    require_role(request.user, model.project, Role.ENGINEER)
    services.delete_model(model)
    return Status(204, None)
