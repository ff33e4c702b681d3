"""`/api/v1/datasets/…/exports`: the files beside the rows of a version."""

from django.http import HttpResponse, StreamingHttpResponse
from ninja import Router, Schema
from pydantic import Field
from runspec.layout import ExportFile

from trivium.api.auth import ApiRequest
from trivium.datasets.api import visible_version
from trivium.datasets.exports import list_exports, send_export

router = Router()


class ExportOut(Schema):
    """A file in the format of another tool."""

    name: str
    size: int
    sha256: str
    lines: int = Field(description="Lines or records in it.")
    about: str = Field(description="What it holds.")


class ExportsOut(Schema):
    """All of them."""

    items: list[ExportOut]


@router.get(
    "/{int:dataset_id}/versions/{int:number}/exports",
    response=ExportsOut,
    summary="List its exports",
)
def list_export_files(
    request: ApiRequest, dataset_id: int, number: int
) -> dict[str, list[ExportFile]]:
    """List the files beside the rows; versions made of votes have some."""
    return {"items": list_exports(visible_version(request, dataset_id, number))}


@router.get(
    "/{int:dataset_id}/versions/{int:number}/exports/{name}",
    summary="Download an export",
)
def download_export(
    request: ApiRequest, dataset_id: int, number: int, name: str
) -> HttpResponse | StreamingHttpResponse:
    """Download one of them; `Range` goes on with a broken download."""
    return send_export(request, visible_version(request, dataset_id, number), name)
