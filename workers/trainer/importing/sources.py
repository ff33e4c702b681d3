"""From a source to the files of one model, under plain names of our own choosing.

Nothing of an archive is written under a name it brought: members become numbered
files in a fresh folder, and only names that models use are taken at all.
"""

from collections.abc import Callable
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
    Members,
    split_ending,
    tar_members,
    unpacked,
    zip_members,
)
from trainer.ingest.limits import Budget
from trainer.ingest.source import local_source

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
        return _expanded(zip_members(path, name, budget), name, work, budget, watch)
    if ending != "tar":
        raise BadInputError(f"{name} is no archive", f"Send {PACKED}.")
    with path.open("rb") as stream:
        budget.position = stream.tell
        members = tar_members(unpacked(stream, packing, budget, name), name)
        return _expanded(members, name, work, budget, watch)


def _expanded(
    members: Members, name: str, work: Path, budget: Budget, watch: Watch
) -> Found:
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
