"""What every command gets: the parsed arguments and a client, made when first used."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trivium.cli import config
from trivium.cli.errors import CliError, Exit

if TYPE_CHECKING:
    from trivium.cli.client import Client

Command = Callable[["Context"], int]
Nouns = Any
"""argparse's action for subcommands, which has no public type."""


class Context(ExitStack):
    """One call of the program; closes at its end what was opened for it."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Keep the arguments."""
        super().__init__()
        self.args = args

    @property
    def is_json(self) -> bool:
        """Whether a program reads the output."""
        return bool(getattr(self.args, "json", False))

    @cached_property
    def client(self) -> "Client":
        """A client of the configured server."""
        from trivium.cli.client import Client

        loaded = config.load(getattr(self.args, "url", ""))
        return self.enter_context(Client(loaded))

    @cached_property
    def project(self) -> str:
        """The slug given by `--project`, or the only project there is."""
        given = getattr(self.args, "project", "")
        if given:
            return str(given)
        slugs = [item["slug"] for item in self.client.items("/projects", most=11)]
        if len(slugs) == 1:
            return str(slugs[0])
        if not slugs:
            raise CliError("there is no project yet: `trivium projects create NAME`")
        raise CliError(
            f"which project? Give --project, one of: {', '.join(slugs[:10])}",
            Exit.USAGE,
        )

    @property
    def filter_project(self) -> str:
        """The slug given by `--project`; empty means all projects."""
        return str(getattr(self.args, "project", ""))


def common_flags() -> argparse.ArgumentParser:
    """Return the flags every command takes."""
    common = argparse.ArgumentParser(add_help=False)
    nothing = argparse.SUPPRESS
    common.add_argument(
        "--json", action="store_true", default=nothing, help="print JSON"
    )
    common.add_argument(
        "--url", default=nothing, help="server (default: TRIVIUM_URL, or of `login`)"
    )
    common.add_argument(
        "--project", metavar="SLUG", default=nothing, help="needed if there are several"
    )
    return common


def add_noun(nouns: Nouns, name: str, about: str) -> Nouns:
    """Declare a noun; returns what its verbs are added to."""
    parser = nouns.add_parser(name, help=about, description=about)
    return parser.add_subparsers(dest="verb", required=True, metavar="VERB")


def add_verb(
    verbs: Nouns, name: str, about: str, command: Command
) -> argparse.ArgumentParser:
    """Declare a verb, carried out by `command`."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=about,
        description=about,
        parents=[common_flags()],
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def add_most(parser: argparse.ArgumentParser) -> None:
    """Declare how many items a list shows."""
    parser.add_argument(
        "--most", type=int, default=50, metavar="N", help="items shown (default: 50)"
    )
