"""From a source to the files of one model, under plain names of our own choosing.

Nothing of an archive is written under a name it brought: members become numbered
files in a fresh folder, and only names that models use are taken at all.
"""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from runspec import ImportSpec

from trainer.errors import BadInputError
from trainer.importing.wanted import (
    ADAPTER_CONFIG,
    CONFIG,
    WEIGHTS,
    is_taken,
    refuse_weights,
    say_what_is_left,
)
from trainer.importing.weights import read_header
from trainer.ingest.errors import listed, shown
from trainer.ingest.files import (
    check_tar,
    check_zip,
    split_ending,
    unpacked,
    zip_chunks,
)
from trainer.ingest.limits import Budget
from trainer.ingest.source import local_source
from trainer.ingest.streams import ChunkStream, read_chunks

PACKED = "a zip or tar (also .gz or .zst) of the model's folder"
Watch = Callable[[int], None]
"""Told how many bytes of the source are read; raises where the run shall stop."""


class Found(NamedTuple):
    """The files of one model, none of them looked into yet."""

    files: dict[str, Path]
    warnings: list[str]


def open_source(spec: ImportSpec, work: Path, watch: Watch) -> Found:
    """Return the model's files in the source a spec names.

    Raises:
        BadInputError: it is no model, or not safe to read.
    """
    assert spec.source is not None
    if "://" not in spec.source and Path(spec.source).is_dir():
        return read_folder(Path(spec.source))
    refusal = refuse_weights(spec.file_name)
    if refusal is not None:
        raise refusal
    path = local_source(spec.source, work, max_bytes=spec.max_expanded_bytes)
    if spec.file_name.lower().endswith(WEIGHTS):
        read_header(path, spec.file_name)
        raise BadInputError(
            f"{spec.file_name} holds weights alone; a model is also its config.json "
            "and tokenizer",
            f"Send {PACKED}.",
        )
    return read_archive(path, spec, work, watch)


def read_folder(folder: Path) -> Found:
    """Return the files of a folder; links that lead out of it are refused."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not _is_own(path, folder):
            raise BadInputError(
                f"{shown(path.name)} is a link that leads out of its folder",
                "Copy the model with `cp -rL`, which follows links, and import that.",
            )
        if path.is_file():
            files[path.name] = path
    return choose({name: [path] for name, path in files.items()}, folder.name)


def _is_own(link: Path, folder: Path) -> bool:
    """Whether a link stays in its folder, or in the blobs of a Hub cache."""
    target, home = link.resolve(), folder.resolve()
    return target.is_relative_to(home) or (
        home.parent.name == "snapshots"
        and target.parent == home.parent.parent / "blobs"
    )


def read_archive(path: Path, spec: ImportSpec, work: Path, watch: Watch) -> Found:
    """Return the files of a zip or tar, expanded into `work` under numbers."""
    name = spec.file_name
    ending, packing = split_ending(name)
    budget = Budget(
        source_bytes=path.stat().st_size,
        max_bytes=spec.max_expanded_bytes,
        max_ratio=spec.max_expansion_ratio,
    )
    if ending == "zip" and not packing:
        members = _zip_members(path, name, budget)
    elif ending == "tar":
        members = _tar_members(path, name, packing, budget)
    else:
        raise BadInputError(f"{name} is no archive", f"Send {PACKED}.")
    expanded: dict[str, list[Path]] = {}
    for member, chunks in members:
        expanded[member] = []
        if not is_taken(PurePosixPath(member).name):
            continue
        target = work / f"member-{len(expanded)}"
        with target.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                watch(budget.position())
        expanded[member].append(target)
    return choose(expanded, name)


Members = Iterator[tuple[str, Iterator[bytes]]]


def _zip_members(path: Path, name: str, budget: Budget) -> Members:
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


def _tar_members(path: Path, name: str, packing: str, budget: Budget) -> Members:
    seen: set[str] = set()
    with path.open("rb") as stream:
        budget.position = stream.tell
        chunks = unpacked(stream, packing, budget, name)
        try:
            with tarfile.open(fileobj=ChunkStream(chunks), mode="r|") as archive:
                for info in archive:
                    check_tar(info, name, seen)
                    content = archive.extractfile(info) if info.isreg() else None
                    if content is not None:
                        yield info.name, read_chunks(content)
        except (tarfile.TarError, EOFError) as error:
            raise BadInputError(
                f"{name} is not a readable tar file: {error}"
            ) from error


def choose(members: dict[str, list[Path]], name: str) -> Found:
    """Return the files beside the only config.json that lies highest.

    Raises:
        BadInputError: there is none, or several; or an adapter, or pickles alone.
    """
    by_folder: dict[PurePosixPath, dict[str, list[Path]]] = {}
    for member, paths in members.items():
        parts = PurePosixPath(member)
        if not any(part.startswith(".") or part == "__MACOSX" for part in parts.parts):
            by_folder.setdefault(parts.parent, {})[parts.name] = paths
    homes = [folder for folder, found in by_folder.items() if CONFIG in found]
    if not homes:
        raise _no_model(by_folder, name)
    depth = min(len(folder.parts) for folder in homes)
    highest = sorted(str(one) for one in homes if len(one.parts) == depth)
    if len(highest) > 1:
        raise BadInputError(
            f"{shown(name)} holds several models, in {listed(highest, 5)}",
            "Import them one by one.",
        )
    found = by_folder[PurePosixPath(highest[0])]
    files = {one: paths[0] for one, paths in found.items() if paths and is_taken(one)}
    has_weights = any(one.endswith(WEIGHTS) for one in files)
    warnings = say_what_is_left(found, has_weights=has_weights)
    if len(by_folder) > 1:
        others = sorted(str(one) for one in by_folder if str(one) != highest[0])
        warnings.append(f"other folders were passed over: {listed(others, 5)}")
    return Found(files, warnings)


def _no_model(
    by_folder: dict[PurePosixPath, dict[str, list[Path]]], name: str
) -> BadInputError:
    names = {one for found in by_folder.values() for one in found}
    if ADAPTER_CONFIG in names:
        return adapter_refusal(name)
    say_what_is_left(names, has_weights=any(one.endswith(WEIGHTS) for one in names))
    return BadInputError(
        f"{shown(name)} has no config.json, so it is not a model in the Hugging Face "
        "layout",
        "Send the folder that save_pretrained of transformers wrote.",
    )


def adapter_refusal(name: str) -> BadInputError:
    """Say what to do with an adapter."""
    return BadInputError(
        f"{shown(name)} is an adapter, which changes another model and is none itself",
        "Merge it where you have both (merge_and_unload of PEFT, then "
        "save_pretrained) and import the result.",
    )
