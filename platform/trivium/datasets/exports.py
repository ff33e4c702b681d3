"""The files beside the rows of a version that was exported from a campaign."""

from collections.abc import Iterator
from pathlib import Path

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, StreamingHttpResponse
from runspec.layout import EXPORTS, DatasetCard, ExportFile

from trivium import storage
from trivium.accounts.models import User
from trivium.api.auth import ApiRequest
from trivium.datasets.models import DatasetVersion
from trivium.http import SignedInRequest
from trivium.partial import send_parts
from trivium.projects.models import Project, Role
from trivium.projects.queries import role_in

PIECE = 2**20


def list_exports(version: DatasetVersion) -> list[ExportFile]:
    """Return what lies beside the rows; of other versions nothing."""
    if not version.is_ready:
        return []
    return DatasetCard.model_validate(version.card).exports


def may_read_exports(user: User, project: Project) -> bool:
    """Whether somebody may see which model wrote what, and who voted how.

    Labelers may not: it would sway the votes they have yet to cast.
    """
    return role_in(user, project) != Role.LABELER


def send_export(
    request: SignedInRequest | ApiRequest, version: DatasetVersion, name: str
) -> HttpResponse | StreamingHttpResponse:
    """Answer with one file; `Range` goes on with a broken download.

    Raises:
        Http404: the version has no such file, or it is gone from storage.
        PermissionDenied: labelers do not read them.
    """
    if not may_read_exports(request.user, version.dataset.project):
        raise PermissionDenied(
            "These files say which model wrote which answer, so labelers do not see "
            "them."
        )
    named = next((file for file in list_exports(version) if file.name == name), None)
    if named is None:
        raise Http404("this version has no such file")
    try:
        folder = storage.local_copy(version.path)
        path = storage.resolve_beneath(folder, f"{EXPORTS}/{named.name}")
        size = path.stat().st_size
    except (OSError, ValueError):
        raise Http404("the files of this version are gone") from None
    response = send_parts(
        request,
        lambda start, end: _pieces(path, start, end),
        size=size,
        tag=f'"{named.sha256[:32]}"',
        file_name=named.name,
        content_type="application/octet-stream",
    )
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (piece := file.read(min(PIECE, end - start))):
            start += len(piece)
            yield piece
