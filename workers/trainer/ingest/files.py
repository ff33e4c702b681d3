"""From a source to the table or text files in it, one after another.

Nothing of an archive is written under a name of its own: members are streams, and
the one format that needs random access (Parquet) goes through a nameless file.
"""

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainer.errors import BadInputError
from trainer.ingest.errors import shown
from trainer.ingest.limits import Budget
from trainer.ingest.rows import Notes
from trainer.ingest.streams import (
    ChunkStream,
    Readable,
    gzip_chunks,
    read_chunks,
    zstd_chunks,
)

MAX_MEMBERS = 100_000
MAX_MEMBER_NAME = 255
FORMATS = {
    "txt": "txt",
    "text": "txt",
    "md": "txt",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "json",
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "parquet": "parquet",
    "pq": "parquet",
}
WEIGHTS = {"pt", "pth", "bin", "ckpt", "pkl", "pickle", "safetensors", "gguf", "h5"}
KNOWN = "txt, jsonl, json, csv, tsv, parquet, each also .gz or .zst; zip and tar"


@dataclass
class DataFile:
    """One file to read: its shown name, its format, and its expanded content."""

    name: str
    file_format: str
    chunks: Iterator[bytes]
    path: Path | None = None
    """Where it lies uncompressed, if it does."""


def open_files(
    path: Path, file_name: str, file_format: str, budget: Budget, notes: Notes
) -> Iterator[DataFile]:
    """Return the files in a source, each to be read before the next is asked for.

    Raises:
        BadInputError: it is no data file, or an archive that is not safe.
    """
    ending, packing = split_ending(file_name)
    with path.open("rb") as stream:
        magic = stream.read(8)
    if not magic:
        raise BadInputError(f"{file_name} is empty", advice="Send a file with content.")
    if ending in WEIGHTS:
        raise BadInputError(
            f"{file_name} holds model weights or a pickle, not a dataset; such files "
            "are never opened here",
            advice=f"Datasets are {KNOWN}.",
        )
    if ending == "zip" and not packing:
        members = zip_members(path, file_name, budget)
        yield from _data_files(members, file_name, budget, notes)
        return
    with path.open("rb") as stream:
        budget.position = stream.tell
        chunks = unpacked(stream, packing, budget, file_name)
        if ending == "tar":
            members = tar_members(chunks, file_name)
            yield from _data_files(members, file_name, budget, notes)
            return
        known = FORMATS.get(ending) if file_format == "auto" else file_format
        if known is None and not ending and not packing:
            known = "parquet" if magic.startswith(b"PAR1") else "txt"
        if known is None:
            raise BadInputError(
                f"{file_name}: the ending {shown('.' + ending)} is not known",
                advice=f"Known are {KNOWN}. Or name the format (file_format).",
            )
        yield DataFile(file_name, known, chunks, path=None if packing else path)


def split_ending(name: str) -> tuple[str, str]:
    """Return (`jsonl`, `gz`) for `rows.jsonl.gz`; either may be empty."""
    parts = PurePosixPath(name.lower().strip()).name.split(".")
    if parts[-1] == "tgz":
        return "tar", "gz"
    packing = parts.pop() if len(parts) > 1 and parts[-1] in {"gz", "zst"} else ""
    return (parts[-1] if len(parts) > 1 else ""), packing


def unpacked(
    stream: Readable, packing: str, budget: Budget, name: str
) -> Iterator[bytes]:
    if packing == "gz":
        return gzip_chunks(stream, budget, name)
    if packing == "zst":
        return zstd_chunks(stream, budget, name)
    return _counted(read_chunks(stream), budget)


def _counted(chunks: Iterator[bytes], budget: Budget) -> Iterator[bytes]:
    for chunk in chunks:
        budget.spend(len(chunk), is_compressed=False)
        yield chunk


def spool(chunks: Iterator[bytes], folder: Path) -> Path:
    """Write a stream to a fresh file in `folder`, for a reader that must seek."""
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        shutil.copyfileobj(ChunkStream(chunks), file, 2**20)
    return Path(file.name)


def _refuse_member(archive: str, member: str, reason: str) -> BadInputError:
    return BadInputError(
        f"{archive} is not safe to read: member {shown(member)} {reason}",
        advice="Make the archive anew with plain relative file names.",
    )


def _check_name(archive: str, member: str) -> None:
    """Refuse names that would lead out of a folder, though none is ever used."""
    parts = PurePosixPath(member).parts
    if "\\" in member or "\0" in member:
        raise _refuse_member(archive, member, "has a backslash or NUL in its name")
    if member.startswith("/") or (len(member) > 1 and member[1] == ":"):
        raise _refuse_member(archive, member, "has an absolute name")
    if ".." in parts:
        raise _refuse_member(archive, member, "leads out of the archive by '..'")
    if any(len(part.encode(errors="replace")) > MAX_MEMBER_NAME for part in parts):
        raise _refuse_member(archive, member, "has too long a name")


def _member_format(archive: str, member: str, notes: Notes) -> str | None:
    """Return how to read a member, or None where it is to be passed over."""
    ending, _ = split_ending(member)
    parts = PurePosixPath(member).parts
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    if ending in FORMATS:
        return FORMATS[ending]
    notes.add(f"{archive}: {shown(member)} is no data file and was passed over")
    return None


Members = Iterator[tuple[str, Iterator[bytes]]]
"""Name and content of each file in an archive; what is not read is passed over."""


def zip_members(path: Path, name: str, budget: Budget) -> Members:
    """Yield the files of a zip, after looking at all of its members.

    Raises:
        BadInputError: it is no zip, or a member is not to be trusted.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BadInputError(f"{name} is not a readable zip file: {error}") from error
    with closing(archive):
        assert archive.fp is not None
        budget.position = archive.fp.tell
        check_zip(archive.infolist(), name)
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, zip_chunks(archive, info, name, budget)


def tar_members(chunks: Iterator[bytes], name: str) -> Members:
    """Yield the files of a tar, each member looked at as it comes.

    Raises:
        BadInputError: it is no tar, or a member is not to be trusted.
    """
    seen: set[str] = set()
    try:
        with tarfile.open(fileobj=ChunkStream(chunks), mode="r|") as archive:
            for info in archive:
                check_tar(info, name, seen)
                stream = archive.extractfile(info) if info.isreg() else None
                if stream is not None:
                    yield info.name, read_chunks(stream)
    except (tarfile.TarError, EOFError) as error:
        raise BadInputError(f"{name} is not a readable tar file: {error}") from error


def _data_files(
    members: Members, name: str, budget: Budget, notes: Notes
) -> Iterator[DataFile]:
    """Yield the members that hold data; say which are passed over."""
    found = False
    for member, chunks in members:
        known = _member_format(name, member, notes)
        if known is not None:
            found = True
            yield _member(member, known, chunks, budget)
    _require_members(found, name)


def check_zip(members: list[zipfile.ZipInfo], name: str) -> None:
    """Look at every member before the first is read."""
    if len(members) > MAX_MEMBERS:
        raise BadInputError(f"{name} has more than {MAX_MEMBERS:,} members")
    seen: set[str] = set()
    for info in members:
        _check_name(name, info.orig_filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise _refuse_member(name, info.filename, "is a link or device")
        if info.flag_bits & 1:
            raise _refuse_member(name, info.filename, "is encrypted")
        if info.filename in seen:
            raise _refuse_member(name, info.filename, "is there twice")
        seen.add(info.filename)


def zip_chunks(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, budget: Budget
) -> Iterator[bytes]:
    try:
        with archive.open(info) as stream:
            for chunk in read_chunks(stream):
                budget.spend(len(chunk))
                yield chunk
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise BadInputError(
            f"{name}: member {shown(info.filename)} is damaged: {error}"
        ) from error


def check_tar(info: tarfile.TarInfo, name: str, seen: set[str]) -> None:
    _check_name(name, info.name)
    if not (info.isreg() or info.isdir()) or info.issparse():
        raise _refuse_member(name, info.name, "is a link, device or sparse file")
    if info.name in seen:
        raise _refuse_member(name, info.name, "is there twice")
    if len(seen) >= MAX_MEMBERS:
        raise BadInputError(f"{name} has more than {MAX_MEMBERS:,} members")
    seen.add(info.name)


def _member(name: str, known: str, chunks: Iterator[bytes], budget: Budget) -> DataFile:
    """Return a member, expanded where it is itself compressed."""
    _, packing = split_ending(name)
    shown_name = shown(name).strip('"')
    if packing:
        chunks = unpacked(ChunkStream(chunks), packing, budget, shown_name)
    return DataFile(shown_name, known, chunks)


def _require_members(found: bool, name: str) -> None:
    if not found:
        raise BadInputError(
            f"{name} has no data file in it", advice=f"Data files are {KNOWN}."
        )
