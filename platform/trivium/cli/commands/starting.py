"""Starting runs: settings from flags, and watching what was started."""

import argparse
from collections.abc import Collection
from typing import Any

from trivium.cli import show
from trivium.cli.commands.context import Context
from trivium.cli.wire import Json


def add_start_flags(parser: argparse.ArgumentParser) -> None:
    """Declare what can be said about any new run, and take its settings unparsed.

    The settings are read off the spec, whose import would slow every other command.
    """
    parser.add_argument("--name", default="", metavar="TEXT", help="name of the result")
    parser.add_argument(
        "--watch", action="store_true", help="stay until it ends; exit code as `watch`"
    )
    parser.epilog = (
        "Settings of the run follow as flags; give `--settings` to list them."
    )
    parser.add_argument(
        "--settings", action="store_true", help="list the settings of the run and exit"
    )
    parser.set_defaults(takes_rest=True)


def parse_rest(
    context: Context, kind: str, *, prog: str, without: Collection[str] = ()
) -> dict[str, Any]:
    """Return the settings given as flags, checked against the spec of `kind`."""
    from trivium.cli import flags

    parser = flags.spec_parser(kind, prog=prog, without=without)
    rest = ["--help"] if context.args.settings else context.args.rest
    values = vars(parser.parse_args(rest))
    if without:
        needed = flags.required_fields(kind)
        placeholders = {name: "-" for name in without if name in needed}
        checked = flags.build_spec(kind, {**placeholders, **values})
        return {name: checked[name] for name in values}
    return flags.build_spec(kind, values)


def finish_start(context: Context, run: Json) -> int:
    """Say what was started, or watch it."""
    if getattr(context.args, "watch", False):
        from trivium.cli.commands.runs import watch_and_report

        return watch_and_report(context, [run["id"]])
    if context.is_json:
        show.print_json(run)
        return 0
    output = run["output"]
    text = f"run {run['id']} {run['state']}: {run['kind']} {run['name']}"
    if output:
        text += f" (makes {output['noun']} {output['id']})"
    show.print_line(text)
    return 0
