"""The manifest that makes a folder of files a verified checkpoint.

Order of writing: files in a temporary folder, their hashes, `MANIFEST.json`, fsync of
each, rename to the final name, fsync of the parent. A folder without a manifest that
verifies is not a checkpoint.
"""

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

MANIFEST_NAME = "MANIFEST.json"


class ManifestFile(BaseModel):
    """One file of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a checkpoint consists of and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, ManifestFile]
    step: int = Field(ge=0)
    fence: int = Field(ge=0)
    spec_sha256: str
    world_size: int = 1
    metric: float | None = None
    libraries: dict[str, str] = {}


class BrokenCheckpointError(ValueError):
    """A folder is no complete checkpoint; the text says what is wrong with it."""


def file_sha256(path: Path) -> str:
    """Hash a file in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path, *, verify_hashes: bool) -> tuple[Manifest, str]:
    """Return the manifest of `folder` and its own SHA-256, after checking the files.

    Sizes are always checked; hashes where `verify_hashes` asks for it (always before
    a checkpoint is resumed or served).

    Raises:
        BrokenCheckpointError: something is missing, cut short or altered.
    """
    path = folder / MANIFEST_NAME
    try:
        raw = path.read_bytes()
        manifest = Manifest.model_validate(json.loads(raw))
    except FileNotFoundError:
        raise BrokenCheckpointError(f"{folder.name}: no {MANIFEST_NAME}") from None
    except ValueError as error:
        raise BrokenCheckpointError(
            f"{folder.name}: {MANIFEST_NAME} is unreadable"
        ) from error

    for name, expected in manifest.files.items():
        file = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or file.is_symlink():
            raise BrokenCheckpointError(f"{folder.name}: unsafe file name {name!r}")
        if not file.is_file():
            raise BrokenCheckpointError(f"{folder.name}: {name} is missing")
        size = file.stat().st_size
        if size != expected.size:
            raise BrokenCheckpointError(
                f"{folder.name}: {name} has {size} bytes, not {expected.size}"
            )
        if verify_hashes and file_sha256(file) != expected.sha256:
            raise BrokenCheckpointError(f"{folder.name}: {name} was altered")
    return manifest, hashlib.sha256(raw).hexdigest()
