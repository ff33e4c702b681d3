"""What every way in that takes a file has in common: pages and API, data and models."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from trivium.accounts.models import User
from trivium.datasets.models import Upload
from trivium.datasets.services import create_upload, name_source
from trivium.projects.models import Project

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

MAX_ENVELOPE_BYTES = 1_000_000
"""What a body may hold beside its file."""


def is_too_large(request: HttpRequest) -> bool:
    """Whether the length of a body alone says that its file is too large.

    Asked before the body is parsed, and so before anything lies on a disk.
    """
    length = request.headers.get("Content-Length", "")
    limit = settings.MAX_UPLOAD_BYTES + MAX_ENVELOPE_BYTES
    return length.isdecimal() and int(length) > limit


def too_large_sentence() -> str:
    """Say on a page that a file is too large, and what else to do."""
    return (
        f"The file is larger than {filesizeformat(settings.MAX_UPLOAD_BYTES)}, the "
        "most this installation takes. Ask an admin to allow a server path instead."
    )


def take_source(
    *,
    project: Project,
    created_by: User,
    file: "UploadedFile[bytes] | None",
    path: str,
    may_be_folder: bool = False,
) -> Upload:
    """Keep the file that was sent, or refer to the path or URL that was named.

    Raises:
        SubmitError: the file is empty or too large, or the place is not allowed.
    """
    if file is None:
        return name_source(
            project=project,
            created_by=created_by,
            source=path,
            may_be_folder=may_be_folder,
        )
    return create_upload(
        project=project,
        created_by=created_by,
        file_name=file.name or "upload",
        content=file,
    )
