"""`/api/v1/tokenizers`."""

from datetime import datetime
from typing import Any

from django.http import FileResponse, HttpResponse
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field
from runspec import TokenizerSpec

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.files import FileOut, list_files, send_file
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.api import RunIn, RunOut, submit
from trivium.tokenizers import queries, services, splitting
from trivium.tokenizers.models import Tokenizer

router = Router()


class TokenizerOut(Schema):
    """A tokenizer; being prepared while `is_ready` is false."""

    id: int
    project: str
    name: str
    algorithm: str
    run_id: int | None
    dataset_version_id: int | None = Field(alias="dataset_id")
    is_ready: bool
    vocabulary_size: int
    sha256: str
    report: dict[str, Any] = Field(description="How well it fits held-out text.")
    created: datetime

    @staticmethod
    def resolve_project(tokenizer: Tokenizer) -> str:
        """Name the project by its slug."""
        return tokenizer.project.slug


class TokenizerPage(PageOf):
    """Tokenizers, newest first."""

    items: list[TokenizerOut]


class TokenizerIn(RunIn):
    """A tokenizer to train."""

    spec: TokenizerSpec


class TryIn(Body):
    """A text to split."""

    text: str = Field(max_length=100_000)


class TokenOut(Schema):
    """One token and where the text it covers lies, counted in characters."""

    id: int
    token: str
    start: int
    end: int


class TryOut(Schema):
    """How a text splits."""

    tokens: list[TokenOut]
    num_tokens: int
    num_bytes: int


@router.get("", response=TokenizerPage, summary="List tokenizers")
def list_tokenizers(
    request: ApiRequest, cursor: Cursor, limit: Limit, project: str = ""
) -> Page:
    """List the tokenizers you may see, newest first."""
    rows = queries.tokenizers_visible_to(request.user).select_related("project")
    if project:
        rows = rows.filter(project=get_project(request.user, project))
    return page(rows, cursor=cursor, limit=limit)


@router.post("", response={201: RunOut}, summary="Train a tokenizer")
def create_tokenizer(request: ApiRequest, payload: TokenizerIn) -> HttpResponse:
    """Queue a run that trains a tokenizer; the run's `output` is the tokenizer."""
    return submit(request, payload)


@router.get("/{int:tokenizer_id}", response=TokenizerOut, summary="Get a tokenizer")
def get_tokenizer(request: ApiRequest, tokenizer_id: int) -> Tokenizer:
    """Get one tokenizer."""
    rows = queries.tokenizers_visible_to(request.user).select_related("project")
    return find(rows, tokenizer_id)


@router.post("/{int:tokenizer_id}/try", response=TryOut, summary="Split a text")
def try_tokenizer(request: ApiRequest, tokenizer_id: int, payload: TryIn) -> TryOut:
    """Split a text; what looks like a special token is plain text here."""
    tokenizer = find(queries.tokenizers_visible_to(request.user), tokenizer_id)
    try:
        tokens = splitting.split_text(tokenizer, payload.text)
    except FileNotFoundError:
        raise ApiError(409, "this tokenizer is not ready") from None
    return TryOut(
        tokens=[TokenOut(**token._asdict()) for token in tokens],
        num_tokens=len(tokens),
        num_bytes=len(payload.text.encode()),
    )


class TokenizerFiles(Schema):
    """The files of a tokenizer, in the Hugging Face layout."""

    items: list[FileOut]


@router.get(
    "/{int:tokenizer_id}/files", response=TokenizerFiles, summary="List its files"
)
def list_tokenizer_files(request: ApiRequest, tokenizer_id: int) -> TokenizerFiles:
    """List the files with size and SHA-256; none while it is being prepared."""
    tokenizer = find(queries.tokenizers_visible_to(request.user), tokenizer_id)
    return TokenizerFiles(items=list_files(tokenizer))


@router.get("/{int:tokenizer_id}/files/{path:name}", summary="Download a file")
def download_tokenizer_file(
    request: ApiRequest, tokenizer_id: int, name: str
) -> FileResponse:
    """Download one file."""
    tokenizer = find(queries.tokenizers_visible_to(request.user), tokenizer_id)
    return send_file(tokenizer, name)


@router.delete(
    "/{int:tokenizer_id}", response={204: None}, summary="Delete a tokenizer"
)
def delete_tokenizer(request: ApiRequest, tokenizer_id: int) -> Status[None]:
    """Delete a tokenizer; refused with 409 while something needs it."""
    tokenizer = find(
        queries.tokenizers_visible_to(request.user).select_related("project"),
        tokenizer_id,
    )
    require_role(request.user, tokenizer.project, Role.ENGINEER)
    services.delete_tokenizer(tokenizer)
    return Status(204, None)
