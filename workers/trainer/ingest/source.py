"""The source of an ingest run as a local file, and how far it has been read."""

import hashlib
from pathlib import Path

import fsspec

from trainer.errors import BadInputError
from trainer.ingest.streams import CHUNK


def local_source(source: str, folder: Path, *, max_bytes: int) -> Path:
    """Return a local path; a URL is copied into `folder` first.

    Raises:
        BadInputError: it is not there, or larger than `max_bytes`.
    """
    if "://" not in source:
        path = Path(source)
        if not path.is_file():
            raise BadInputError("the source file is gone", advice="Upload it again.")
        return path
    target = folder / "source"
    copied = 0
    try:
        with fsspec.open(source, "rb") as remote, target.open("wb") as local:
            while chunk := remote.read(CHUNK):
                copied += len(chunk)
                if copied > max_bytes:
                    raise BadInputError(
                        f"the source is larger than {max_bytes:,} bytes "
                        "(max_expanded_bytes)"
                    )
                local.write(chunk)
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(
            f"the source could not be read: {type(error).__name__}: {error}"[:300],
            advice="Check the address, and that this worker may reach it.",
        ) from error
    return target


def file_sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
