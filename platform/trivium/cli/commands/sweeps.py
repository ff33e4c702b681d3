"""`trivium sweeps …`."""

import json
import re
from typing import Any

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.errors import CliError
from trivium.cli.wire import Json

RANGE = re.compile(r"^([^:]+?)\.\.([^:]+?)(?::(\d+))?$")


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "sweeps", "try several values of settings")
    add_most(add_verb(verbs, "list", "list sweeps, newest first", list_sweeps))
    start = add_verb(verbs, "start", "queue runs like RUN, varied", start_sweep)
    start.add_argument("run", type=int, metavar="RUN")
    start.add_argument(
        "--over",
        action="append",
        default=[],
        required=True,
        metavar="FIELD=VALUES",
        help="a list like 1e-4,3e-4 or a range like 1e-4..1e-2 (:N for N points); "
        "may be given again",
    )
    start.add_argument(
        "--random", type=int, metavar="N", help="draw N runs instead of a grid"
    )
    start.add_argument("--seed", type=int, default=0, metavar="N")
    start.add_argument("--name", default="", metavar="TEXT")
    start.add_argument(
        "--preview", action="store_true", help="say what it would do, queue nothing"
    )
    for name, about in {
        "show": "show a sweep and its runs",
        "cancel": "cancel every run of it that is not finished",
    }.items():
        verb = add_verb(verbs, name, about, show_sweep)
        verb.add_argument("id", type=int, metavar="ID")


def list_sweeps(context: Context) -> int:
    """Print the sweeps."""
    found = context.client.items(
        "/sweeps", project=context.filter_project, most=context.args.most
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "name", "method", "runs", "succeeded", "by", "created"],
        [
            [
                item["id"],
                item["project"],
                item["name"],
                item["method"],
                len(item["runs"]),
                sum(run["state"] == "succeeded" for run in item["runs"]),
                item["created_by"],
                show.date_text(item["created"]),
            ]
            for item in items
        ],
    )
    return 0


def start_sweep(context: Context) -> int:
    """Queue a sweep, or say what it would do."""
    args = context.args
    body: dict[str, Any] = {
        "axes": [parse_over(text) for text in args.over],
        "method": "grid" if args.random is None else "random",
        "seed": args.seed,
        "name": args.name,
    }
    if args.random is not None:
        body["number"] = args.random
    if args.preview:
        return _print_preview(
            context, context.client.post(f"/runs/{args.run}/sweep/preview", body)
        )
    return _print_sweep(context, context.client.post(f"/runs/{args.run}/sweep", body))


def parse_over(text: str) -> Json:
    """Return the axis that `field=1,2` or `field=1..9:3` describes.

    Raises:
        CliError: it is neither.
    """
    name, found, values = text.partition("=")
    if not found or not values.strip():
        raise CliError(f"--over takes FIELD=VALUES, not {text!r}")
    axis: Json = {"setting": name.strip().replace("-", "_")}
    if match := RANGE.match(values.strip()):
        try:
            axis |= {"low": float(match[1]), "high": float(match[2])}
        except ValueError:
            raise CliError(f"--over: {values!r} is no range of numbers") from None
        if match[3]:
            axis["points"] = int(match[3])
        return axis
    axis["values"] = [_value(part.strip()) for part in values.split(",")]
    return axis


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | None) else text


def show_sweep(context: Context) -> int:
    """Print one sweep, after cancelling it where that was asked."""
    address = f"/sweeps/{context.args.id}"
    if context.args.verb == "cancel":
        return _print_sweep(context, context.client.post(f"{address}/cancel"))
    return _print_sweep(context, context.client.get(address))


def _print_preview(context: Context, preview: Json) -> int:
    if context.is_json:
        show.print_json(preview)
        return 0
    names = list(preview["values"][0]) if preview["values"] else []
    show.print_table(names, [list(values.values()) for values in preview["values"]])
    time = preview["wall_seconds"]
    known = f", about {show.duration_text(time)} from now" if time is not None else ""
    show.print_line(f"\n{preview['num_runs']} runs{known}")
    if preview["refusal"]:
        show.print_line(preview["refusal"])
    return 0


def _print_sweep(context: Context, sweep: Json) -> int:
    if context.is_json:
        show.print_json(sweep)
        return 0
    show.print_line(f"sweep {sweep['id']} {sweep['name']}: {len(sweep['runs'])} runs\n")
    names = [axis["setting"] for axis in sweep["axes"]]
    show.print_table(
        ["id", "state", *names],
        [
            [run["id"], run["state"], *(run["values"].get(name) for name in names)]
            for run in sweep["runs"]
        ],
    )
    return 0
