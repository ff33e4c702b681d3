"""Files of tokenizers and models, listed and sent as attachments."""

from typing import Protocol

from django.http import FileResponse, Http404
from ninja import Schema
from runspec.manifest import file_sha256

from trivium import storage


class FileOut(Schema):
    """One file."""

    name: str
    size: int
    sha256: str


class Stored(Protocol):
    """Something with files below a key of the storage."""

    path: str


def list_files(item: Stored) -> list[FileOut]:
    """List and hash the files of something small; empty while it is not ready."""
    if not item.path:
        return []
    folder = storage.local_copy(item.path)
    return [
        FileOut(name=file.name, size=file.stat().st_size, sha256=file_sha256(file))
        for file in sorted(folder.iterdir())
        if file.is_file()
    ]


def send_file(item: Stored, name: str) -> FileResponse:
    """Send one file; Http404 where there is none of that name."""
    if not item.path:
        raise Http404
    try:
        path = storage.resolve_beneath(storage.local_copy(item.path), name)
        file = path.open("rb")
    except (ValueError, OSError):
        raise Http404 from None
    response = FileResponse(
        file,
        as_attachment=True,
        filename=path.name,
        content_type="application/octet-stream",
    )
    response["Content-Security-Policy"] = "sandbox"
    return response
