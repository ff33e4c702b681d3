"""`trivium models import`: from this machine, from the server, or from the Hub."""

import argparse
import json
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from trivium.cli.commands.context import Context
from trivium.cli.commands.datasets import Watched
from trivium.cli.commands.starting import finish_start
from trivium.cli.errors import CliError, Exit

LEFT_OUT = {".bin", ".pt", ".pth", ".pkl", ".h5", ".msgpack", ".onnx", ".gguf", ".py"}
"""Files of a folder that no import takes: why send them?"""


def add_import(parser: argparse.ArgumentParser) -> None:
    """Declare where a model may come from."""
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default="", help="its folder, zip or tar"
    )
    parser.add_argument("--hub", metavar="ID", default="", help="a model of the Hub")
    parser.add_argument(
        "--server", action="store_true", help="PATH is one the server may read"
    )
    parser.add_argument("--revision", metavar="NAME", help="of the Hub; default: main")
    parser.add_argument(
        "--stage", metavar="STAGE", help="base, instruct…; default: as recognised"
    )
    parser.add_argument("--name", default="", metavar="TEXT", help="name of the model")
    parser.add_argument(
        "--watch", action="store_true", help="stay until it ends; exit code as `watch`"
    )


def import_model(context: Context) -> int:
    """Queue an import; what lies on this machine is sent first."""
    args = context.args
    chosen = {"revision": args.revision, "stage": args.stage}
    settings = {name: value for name, value in chosen.items() if value is not None}
    if bool(args.path) == bool(args.hub) or (args.hub and args.server):
        raise CliError("give either PATH or --hub ID", Exit.USAGE)
    if args.path and not args.server:
        return finish_start(context, _send(context, Path(args.path), settings))
    place = {"path": args.path} if args.path else {"hub_id": args.hub}
    body = {
        "project": context.project,
        "name": args.name,
        "settings": settings,
        **place,
    }
    return finish_start(context, context.client.post("/models", body))


def _send(context: Context, path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "project": context.project,
        "name": context.args.name,
        "settings": json.dumps(settings),
    }
    try:
        if path.is_dir():
            return _send_folder(context, path, fields)
        return _send_file(context, path, path.name, fields)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from None


def _send_folder(
    context: Context, folder: Path, fields: dict[str, Any]
) -> dict[str, Any]:
    """Pack a folder into a file that is gone afterwards, and send that."""
    name = folder.resolve().name
    with tempfile.NamedTemporaryFile(suffix=".tar", delete=False) as packed:
        target = Path(packed.name)
    try:
        with tarfile.open(target, "w", dereference=True) as archive:
            for path in sorted(folder.iterdir()):
                if path.is_file() and path.suffix.lower() not in LEFT_OUT:
                    archive.add(path, arcname=f"{name}/{path.name}", recursive=False)
        return _send_file(context, target, f"{name}.tar", fields)
    finally:
        with suppress(OSError):
            target.unlink()


def _send_file(
    context: Context, path: Path, name: str, fields: dict[str, Any]
) -> dict[str, Any]:
    size = path.stat().st_size
    is_shown = not context.is_json
    with path.open("rb") as file, Watched(file, size, is_shown=is_shown) as watched:
        return context.client.upload("/models/upload", watched, name, fields)  # type: ignore[arg-type]
