"""`trivium datasets …`."""

import argparse
import json
import os
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlencode

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.starting import add_start_flags, finish_start, parse_rest
from trivium.cli.errors import CliError, Exit
from trivium.cli.wire import Json

OWN_FIELDS = ("source", "file_name", "dataset_kind", "columns")
"""Settings that are said in other ways than by a flag of their own name."""
KINDS = (
    "text, instructions, conversations, text-to-text, labelled, preferences or prompts"
)


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

    download = add_verb(
        verbs, "download", "fetch the rows of a version as JSON lines", download_rows
    )
    download.add_argument("id", type=int, metavar="ID")
    download.add_argument("file", type=Path, metavar="FILE")
    download.add_argument(
        "--version", type=int, metavar="N", help="default: the newest"
    )
    download.add_argument(
        "--split", default="", choices=("train", "validation"), help="default: all"
    )
    download.add_argument(
        "--form",
        default="",
        choices=("explicit", "implicit", "kto"),
        help="preferences as TRL reads them; default: as stored",
    )

    upload = add_verb(verbs, "upload", "send a file and ingest it", upload_file)
    upload.add_argument("file", type=Path, metavar="FILE")
    add_kind_flags(upload)
    add_start_flags(upload)
    look = add_verb(
        verbs,
        "look",
        "show what a file would be taken for; keeps nothing",
        look_at_file,
    )
    look.add_argument("file", type=Path, metavar="FILE")
    add_kind_flags(look)
    importing = add_verb(
        verbs, "import", "ingest a path or URL the server may read", import_path
    )
    importing.add_argument("path", metavar="PATH")
    add_kind_flags(importing)
    add_start_flags(importing)

    delete = add_verb(verbs, "delete", "delete a version nothing needs", delete_version)
    delete.add_argument("id", type=int, metavar="ID")
    delete.add_argument("version", type=int, metavar="VERSION")


def add_kind_flags(parser: argparse.ArgumentParser) -> None:
    """Declare how to say what rows are, and where their parts stand."""
    parser.add_argument(
        "--kind", default="", metavar="KIND", help=f"{KINDS}; else recognised"
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="PART=COLUMN",
        help="a column of the file, like prompt=question; may be repeated",
    )


def chosen_columns(context: Context) -> dict[str, str]:
    """Return the columns given by `--column`, by the part each holds."""
    columns = {}
    for given in context.args.column:
        part, sign, column = given.partition("=")
        if not (part and sign and column):
            raise CliError(
                f"--column {given!r}: write PART=COLUMN, like prompt=question"
            )
        columns[part] = column
    if columns and not context.args.kind:
        raise CliError("--column says where the parts of a row are: give --kind too")
    return columns


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


def download_rows(context: Context) -> int:
    """Fetch all rows of a version, or of a split of it, into a file."""
    args = context.args
    address = f"/datasets/{args.id}"
    number = args.version or context.client.get(address)["newest_version"]["number"]
    chosen = {"split": args.split, "form": args.form}
    query = urlencode({name: value for name, value in chosen.items() if value})
    context.client.download(
        f"{address}/versions/{number}/rows.jsonl?{query}", args.file, lambda _: None
    )
    size = args.file.stat().st_size
    if context.is_json:
        show.print_json({"file": str(args.file), "bytes": size})
    else:
        show.print_line(f"{show.bytes_text(size)} in {args.file}")
    return 0


def upload_file(context: Context) -> int:
    """Send a file, with a bar where a person looks on."""
    path: Path = context.args.file
    settings = parse_rest(
        context, "ingest", prog="trivium datasets upload FILE", without=OWN_FIELDS
    )
    if columns := chosen_columns(context):
        settings["columns"] = columns
    fields = {
        "project": context.project,
        "name": context.args.name,
        "kind": context.args.kind,
        "settings": json.dumps(settings),
    }
    return finish_start(context, send(context, path, "/datasets/upload", fields))


def send(context: Context, path: Path, address: str, fields: Json) -> Json:
    """Send a file of this machine with a bar."""
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from None
    with file, Watched(file, size, is_shown=not context.is_json) as watched:
        return context.client.upload(address, watched, path.name, fields)  # type: ignore[arg-type]


def look_at_file(context: Context) -> int:
    """Send a file, print what it would be taken for, and have it forgotten."""
    settings = {"columns": columns} if (columns := chosen_columns(context)) else {}
    sent = send(
        context, context.args.file, "/datasets/uploads", {"project": context.project}
    )
    address = f"/datasets/uploads/{sent['id']}"
    try:
        body = {"kind": context.args.kind, "settings": settings}
        found = context.client.post(f"{address}/look", body)
    finally:
        context.client.delete(address)
    if context.is_json:
        show.print_json(found)
        return 0
    return print_look(found)


def print_look(found: Json) -> int:
    """Print what a file is; the exit code says whether it could be brought in."""
    if found["error"] or found["question"]:
        show.print_line(found["error"] or found["question"])
    else:
        show.print_line(f"{found['kind']}: {found['layout']}")
        for part, column in found["mapping"].items():
            show.print_line(f"  {part} from {column}")
        for row in found["rows"]:
            told = row["reason"] or json.dumps(row["values"], ensure_ascii=False)
            show.print_line(f"{row['place']}: {told}")
    for note in found["notes"]:
        show.print_line(f"note: {note}")
    return Exit.USAGE if found["error"] or found["question"] else 0


def import_path(context: Context) -> int:
    """Ask the server to read a path of its own."""
    settings = parse_rest(
        context, "ingest", prog="trivium datasets import PATH", without=OWN_FIELDS
    )
    if columns := chosen_columns(context):
        settings["columns"] = columns
    body = {
        "project": context.project,
        "path": context.args.path,
        "name": context.args.name,
        "kind": context.args.kind,
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


class Watched:
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
