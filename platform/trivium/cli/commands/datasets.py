"""`trivium datasets …`."""

import json
import os
from pathlib import Path
from typing import IO, Any, Self

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.starting import add_start_flags, finish_start, parse_rest
from trivium.cli.errors import CliError
from trivium.cli.wire import Json

OWN_FIELDS = ("source", "file_name")


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "datasets", "bring data in and look at it")
    add_most(add_verb(verbs, "list", "list datasets", list_datasets))
    one = add_verb(verbs, "show", "show a dataset and its versions", show_dataset)
    one.add_argument("id", type=int, metavar="ID")
    rows = add_verb(verbs, "rows", "print rows of a version", print_rows)
    rows.add_argument("id", type=int, metavar="ID")
    rows.add_argument("--version", type=int, metavar="N", help="default: the newest")
    rows.add_argument("--split", default="train", choices=("train", "validation"))
    rows.add_argument("--offset", type=int, default=0, metavar="N")
    rows.add_argument("--most", type=int, default=10, metavar="N", help="at most 100")

    upload = add_verb(verbs, "upload", "send a file and ingest it", upload_file)
    upload.add_argument("file", type=Path, metavar="FILE")
    add_start_flags(upload)
    importing = add_verb(
        verbs, "import", "ingest a path or URL the server may read", import_path
    )
    importing.add_argument("path", metavar="PATH")
    add_start_flags(importing)

    delete = add_verb(verbs, "delete", "delete a version nothing needs", delete_version)
    delete.add_argument("id", type=int, metavar="ID")
    delete.add_argument("version", type=int, metavar="VERSION")


def list_datasets(context: Context) -> int:
    """Print the datasets."""
    found = context.client.items(
        "/datasets", project=context.filter_project, most=context.args.most
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "name", "kind", "version", "version id", "rows", "state"],
        [_row(item) for item in items],
    )
    return 0


def _row(item: Json) -> list[Any]:
    version = item["newest_version"] or {}
    return [
        item["id"],
        item["project"],
        item["name"],
        item["kind"],
        version.get("number"),
        version.get("id"),
        version.get("rows"),
        "ready" if version.get("is_ready") else "being prepared",
    ]


def show_dataset(context: Context) -> int:
    """Print one dataset and its versions."""
    item = context.client.get(f"/datasets/{context.args.id}")
    versions = list(context.client.items(f"/datasets/{item['id']}/versions", most=100))
    if context.is_json:
        show.print_json({**item, "versions": versions})
        return 0
    show.print_fields(item, ["id", "project", "name", "kind", "description"])
    show.print_line("")
    show.print_table(
        ["version", "version id", "rows", "size", "source", "run", "state"],
        [
            [
                version["number"],
                version["id"],
                version["rows"],
                show.bytes_text(version["size_bytes"]),
                version["source_name"],
                version["run_id"],
                "ready" if version["is_ready"] else "being prepared",
            ]
            for version in versions
        ],
    )
    return 0


def print_rows(context: Context) -> int:
    """Print some rows, one JSON object a line."""
    args = context.args
    address = f"/datasets/{args.id}"
    number = args.version or context.client.get(address)["newest_version"]["number"]
    found = context.client.get(
        f"{address}/versions/{number}/rows",
        split=args.split,
        offset=args.offset,
        limit=args.most,
    )
    if context.is_json:
        show.print_json(found)
        return 0
    for item in found["items"]:
        show.print_line(json.dumps(item["values"], ensure_ascii=False))
    return 0


def upload_file(context: Context) -> int:
    """Send a file, with a bar where a person looks on."""
    path: Path = context.args.file
    settings = parse_rest(
        context, "ingest", prog="trivium datasets upload FILE", without=OWN_FIELDS
    )
    fields = {
        "project": context.project,
        "name": context.args.name,
        "settings": json.dumps(settings),
    }
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from None
    with file, _Watched(file, size, is_shown=not context.is_json) as watched:
        run = context.client.upload("/datasets/upload", watched, path.name, fields)  # type: ignore[arg-type]
    return finish_start(context, run)


def import_path(context: Context) -> int:
    """Ask the server to read a path of its own."""
    settings = parse_rest(
        context, "ingest", prog="trivium datasets import PATH", without=OWN_FIELDS
    )
    body = {
        "project": context.project,
        "path": context.args.path,
        "name": context.args.name,
        "settings": settings,
    }
    return finish_start(context, context.client.post("/datasets", body))


def delete_version(context: Context) -> int:
    """Delete one version for good."""
    args = context.args
    context.client.delete(f"/datasets/{args.id}/versions/{args.version}")
    if context.is_json:
        show.print_json({"deleted": args.version})
    else:
        show.print_line(f"version {args.version} of dataset {args.id} deleted")
    return 0


class _Watched:
    """A file that moves a progress bar while it is read."""

    def __init__(self, file: IO[bytes], size: int, *, is_shown: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._file = file
        self._progress = Progress(
            TextColumn("uploading"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not (is_shown and console.is_terminal),
        )
        self._task = self._progress.add_task("", total=size)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._progress.update(self._task, completed=self._file.tell())
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()
