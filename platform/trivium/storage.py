"""The one artifact root: uploads, datasets, tokenizers and models, by key.

A key is `noun/name`, made by us and never by a user. With a `file://` root a key is a
folder or file below it, and publishing is one rename. With any other fsspec URL the
content is uploaded, and local copies are kept below `WORK_DIR/cache`.
"""

import os
import re
import shutil
import uuid
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import fsspec
from django.conf import settings

KEY = re.compile(r"[a-z]+/[A-Za-z0-9_-]+(\.[a-z0-9]+)*")
COMPLETE = ".complete"
"""Uploaded last to a remote root; a folder without it is not there yet."""


@cache
def _remote() -> tuple[fsspec.AbstractFileSystem, str]:
    filesystem, root = fsspec.url_to_fs(settings.STORAGE_URL)
    return filesystem, str(root).rstrip("/")


def _local_root() -> Path | None:
    """Return the root as a local folder, or None where it is remote."""
    if settings.STORAGE_URL.startswith("file://"):
        return Path(settings.STORAGE_URL.removeprefix("file://"))
    return None


def _checked(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a storage key")
    return key


def resolve_beneath(folder: Path, name: str) -> Path:
    """Return `folder / name` where that stays inside `folder`, symlinks followed.

    Raises:
        ValueError: it does not. Every user-given file name goes through here.
    """
    parts = PurePosixPath(name)
    if "\0" in name or "\\" in name or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{name!r} is not a plain file name")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} leads outside its folder")
    return path


def run_folder(run_id: int) -> Path:
    """Return the folder a run works in; shared between hosts if the root is."""
    root = _local_root()
    folder = (root or settings.WORK_DIR) / "runs" / str(run_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def token_cache_folder() -> Path:
    """Return where trainers keep token caches, shared by all runs of this host."""
    folder = (_local_root() or settings.WORK_DIR) / "token-caches"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def publish(source: Path, key: str) -> str:
    """Make `source` (a file or folder) appear at `key`, whole or not at all.

    An existing key is kept, since equal keys hold equal content; `source` is consumed.
    """
    _checked(key)
    root = _local_root()
    if root is not None:
        target = root / key
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.exists():
            _remove(source)
            return key
        temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
        shutil.move(source, temporary)
        temporary.rename(target)
        _fsync_folder(target.parent)
        return key

    filesystem, remote_root = _remote()
    target_url = f"{remote_root}/{key}"
    if source.is_dir():
        filesystem.put(f"{source}/", f"{target_url}/", recursive=True)
        filesystem.pipe_file(f"{target_url}/{COMPLETE}", b"1")
    else:
        filesystem.put_file(str(source), target_url)
    _remove(source)
    return key


def local_copy(key: str) -> Path:
    """Return a local path of what lies at `key`, downloading it once if remote.

    Raises:
        FileNotFoundError: nothing (complete) is there.
    """
    _checked(key)
    root = _local_root()
    if root is not None:
        path = root / key
        if not path.exists():
            raise FileNotFoundError(f"storage has nothing at {key}")
        return path

    filesystem, remote_root = _remote()
    target = Path(settings.WORK_DIR) / "cache" / key
    if target.exists():
        return target
    source = f"{remote_root}/{key}"
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    if filesystem.isdir(source):
        if not filesystem.exists(f"{source}/{COMPLETE}"):
            raise FileNotFoundError(f"storage has nothing complete at {key}")
        filesystem.get(f"{source}/", f"{temporary}/", recursive=True)
    else:
        filesystem.get_file(source, str(temporary))
    temporary.rename(target)
    return target


def open_file(key: str) -> BinaryIO:
    """Open one file for reading."""
    return local_copy(key).open("rb")


def read_small(key: str, name: str, *, limit: int) -> bytes:
    """Return a file of the folder at `key` without fetching the rest of it.

    Raises:
        OSError: it is not there.
        ValueError: it holds more than `limit` bytes.
    """
    root = _local_root()
    if root is not None:
        with resolve_beneath(local_copy(key), name).open("rb") as file:
            content = file.read(limit + 1)
    else:
        filesystem, remote_root = _remote()
        url = f"{remote_root}/{_checked(key)}/{name}"
        content = bytes(filesystem.cat_file(url, end=limit + 1))
    if len(content) > limit:
        raise ValueError(f"{name} holds more than {limit:,} bytes")
    return content


def new_upload(suffix: str = "") -> tuple[str, Path]:
    """Return a fresh upload key, and the local path its bytes are first written to."""
    key = _checked(f"uploads/{uuid.uuid4().hex}{suffix}")
    path = Path(settings.FILE_UPLOAD_TEMP_DIR) / PurePosixPath(key).name
    return key, path


def delete(key: str) -> None:
    """Remove what lies at `key`; nothing there is fine."""
    _checked(key)
    root = _local_root()
    if root is not None:
        _remove(root / key)
        return
    filesystem, remote_root = _remote()
    if filesystem.exists(f"{remote_root}/{key}"):
        filesystem.rm(f"{remote_root}/{key}", recursive=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = [
    "delete",
    "local_copy",
    "new_upload",
    "open_file",
    "publish",
    "read_small",
    "resolve_beneath",
    "run_folder",
    "token_cache_folder",
]
