"""Fetching the files of a model or a tokenizer."""

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from trivium.cli import show
from trivium.cli.commands.context import Context
from trivium.cli.errors import CliError, Exit


def add_download(parser: argparse.ArgumentParser) -> None:
    """Declare what is fetched, and whereto."""
    parser.add_argument("id", type=int, metavar="ID")
    parser.add_argument("folder", type=Path, metavar="DIR")


def download_files(
    context: Context, address: str, choose: Callable[[str], str | None] = str
) -> int:
    """Fetch every file, and check each against its hash; whole ones are kept.

    `choose` says under which name a file is kept; None leaves it out.
    """
    from rich.console import Console
    from rich.progress import Progress

    listed = context.client.get(f"{address}/files")["items"]
    if not listed:
        raise CliError("it is not ready yet: it has no files", Exit.CONFLICT)
    folder: Path = context.args.folder
    folder.mkdir(parents=True, exist_ok=True)
    names = {file["name"]: choose(file["name"]) for file in listed}
    files = [file for file in listed if names[file["name"]] is not None]
    console = Console(stderr=True)
    with Progress(
        console=console, disable=context.is_json or not console.is_terminal
    ) as progress:
        task = progress.add_task("downloading", total=sum(f["size"] for f in files))
        for file in files:
            target = folder / _plain_name(names[file["name"]] or "")
            target.parent.mkdir(exist_ok=True)
            if _is_whole(target, file["sha256"]):
                progress.advance(task, file["size"])
                continue
            context.client.download(
                f"{address}/files/{file['name']}",
                target,
                lambda count: progress.advance(task, count),
            )
            if not _is_whole(target, file["sha256"]):
                raise CliError(
                    f"{target} differs from what the server has: try again",
                    Exit.UNREACHABLE,
                )
    if context.is_json:
        show.print_json({"folder": str(folder), "files": files})
    else:
        show.print_line(f"{len(files)} files in {folder}")
    return 0


def _plain_name(name: str) -> str:
    """Return `name`, which came from elsewhere, if it stays in the folder.

    It is a file's name, or that of one in a folder beside the others.
    """
    parts = PurePosixPath(name).parts
    is_plain = "/".join(parts) == name and "\\" not in name and "\0" not in name
    if not is_plain or not 0 < len(parts) <= 2 or {"..", "/"} & set(parts):
        raise CliError(f"the server names a file {name!r}", Exit.UNREACHABLE)
    return name


def _is_whole(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256
