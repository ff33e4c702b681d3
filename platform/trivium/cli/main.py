"""`trivium`: the command line, a client of the REST API.

Nothing of Django is imported here, and each command imports what it needs itself, so
that the program starts at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from trivium.cli.commands import (
    campaigns,
    costs,
    datasets,
    evaluations,
    models,
    pipelines,
    plan,
    projects,
    runs,
    server,
    sweeps,
    tokenizers,
    workers,
)
from trivium.cli.commands.context import Context
from trivium.cli.errors import MEANINGS, CliError, Exit

EPILOG = "exit codes:\n" + "\n".join(
    f"  {code.value:<4} {meaning}" for code, meaning in MEANINGS.items()
)
ENVIRONMENT = """

environment:
  TRIVIUM_URL, TRIVIUM_TOKEN  server and token, before those of `login`
  TRIVIUM_CONFIG              file of `login` (~/.config/trivium/config.json)
"""


def build_parser() -> argparse.ArgumentParser:
    """Declare all commands."""
    parser = argparse.ArgumentParser(
        prog="trivium",
        description="Train language models: data, tokenizers, runs, models.",
        epilog=EPILOG + ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    nouns = parser.add_subparsers(dest="noun", required=True, metavar="COMMAND")
    modules = (
        server, projects, datasets, tokenizers, models, runs, sweeps, pipelines,
        campaigns, evaluations, workers, plan, costs,
    )  # fmt: skip
    for module in modules:
        module.add(nouns)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code; also if nobody reads on."""
    try:
        try:
            return carry_out(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`head`) has seen enough; nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def carry_out(argv: Sequence[str] | None) -> int:
    """Do what the command line says, and turn failures into exit codes."""
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    if rest and not getattr(args, "takes_rest", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not hasattr(args, "rest"):
        args.rest = rest
    try:
        with Context(args) as context:
            return int(args.command(context))
    except CliError as error:
        sys.stderr.write(f"trivium: {error}\n")
        return error.code
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; runs go on\n")
        return Exit.INTERRUPTED
