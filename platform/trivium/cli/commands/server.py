"""`trivium login` and `trivium up`."""

import argparse
import os
import sys

from trivium.cli import config, show
from trivium.cli.commands.context import Context, Nouns, add_verb
from trivium.cli.errors import CliError, Exit


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    login = add_verb(nouns, "login", "save a server and a token for it", log_in)
    login.add_argument("server", metavar="URL", nargs="?", default=config.DEFAULT_URL)
    login.add_argument(
        "--token-stdin", action="store_true", help="read the token from standard input"
    )
    up = nouns.add_parser(
        "up", help="start the platform on this machine", add_help=False
    )
    up.add_argument("rest", nargs=argparse.REMAINDER)
    up.set_defaults(command=start_platform)


def log_in(context: Context) -> int:
    """Ask for a token, try it, and save it."""
    from trivium.cli.client import Client

    url = config.checked_url(context.args.server)
    tried = config.Config(url, _read_token(context, url))
    person = context.enter_context(Client(tried)).get("/me")
    file = config.save(tried)
    if context.is_json:
        show.print_json({"url": url, "username": person["username"]})
    else:
        show.print_line(f"signed in to {url} as {person['username']}; saved in {file}")
    return 0


def _read_token(context: Context, url: str) -> str:
    if context.args.token_stdin:
        token = sys.stdin.readline().strip()
    elif sys.stdin.isatty():
        from getpass import getpass

        token = getpass(f"Token (make one at {url}/settings/): ").strip()
    else:
        raise CliError("standard input is no terminal: give --token-stdin")
    if not token.startswith("tv_") or not token.isascii():
        raise CliError("that is no token: they start with tv_", Exit.DENIED)
    return token


def start_platform(context: Context) -> int:
    """Become `manage.py up`."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "trivium.settings"}
    command = [sys.executable, "-m", "django", "up", *context.args.rest]
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell wanted
