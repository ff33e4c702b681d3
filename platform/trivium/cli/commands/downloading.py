"""Fetching the files of a model or a tokenizer."""

import argparse
import hashlib
from pathlib import Path, PurePosixPath

from trivium.cli import show
from trivium.cli.commands.context import Context
from trivium.cli.errors import CliError, Exit


def add_download(parser: argparse.ArgumentParser) -> None:
    """Declare what is fetched, and whereto."""
    parser.add_argument("id", type=int, metavar="ID")
    parser.add_argument("folder", type=Path, metavar="DIR")


def download_files(context: Context, address: str) -> int:
    """Fetch every file, and check each against its hash; whole ones are kept."""
    from rich.console import Console
    from rich.progress import Progress

    files = context.client.get(f"{address}/files")["items"]
    if not files:
        raise CliError("it is not ready yet: it has no files", Exit.CONFLICT)
    folder: Path = context.args.folder
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with Progress(
        console=console, disable=context.is_json or not console.is_terminal
    ) as progress:
        task = progress.add_task("downloading", total=sum(f["size"] for f in files))
        for file in files:
            target = folder / _plain_name(file["name"])
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
    """Return `name`, which came from elsewhere, if it can only be a file's name."""
    if PurePosixPath(name).name != name or "\\" in name or name in {"", ".", ".."}:
        raise CliError(f"the server names a file {name!r}", Exit.UNREACHABLE)
    return name


def _is_whole(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256
