"""`manage.py demo`: raw text to aligned models on this machine, for real."""

import signal
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from trivium.accounts import services as accounts
from trivium.accounts.models import User
from trivium.cli.client import Client
from trivium.cli.config import Config
from trivium.cli.demo import run_demo
from trivium.cli.errors import CliError, Exit
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to
from trivium.projects.services import create_project
from trivium.runs.local import local_platform

PROJECT_NAME = "Demo"
LOOPBACK = "127.0.0.1"


class Command(BaseCommand):
    """Start the platform, take Tiny World through the queue, show what was learned."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the flags."""
        parser.add_argument(
            "--keep", action="store_true", help="stay up until Ctrl-C when done"
        )
        parser.add_argument(
            "--share",
            type=float,
            default=1.0,
            metavar="X",
            help="take this share of the steps, to see the way in less time; what "
            "comes of it is worth as much less",
        )

    def handle(self, *_: Any, keep: bool, share: float, **__: Any) -> None:
        """Run the demo and leave with an exit code that says how it went."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            if not 0 < share <= 1:
                raise CliError("--share is above 0 and at most 1", Exit.USAGE)
            self.show(keep=keep, share=share)
        except CliError as error:
            self.stderr.write(f"demo: {error}")
            sys.exit(error.code)
        except KeyboardInterrupt:
            self.stderr.write("\ndemo: interrupted; its runs go on at the next start")
            sys.exit(Exit.INTERRUPTED)

    def show(self, *, keep: bool, share: float) -> None:
        """Start everything, run, report, stop everything."""
        port = free_port(settings.PORT)
        if port != settings.PORT:
            self.stdout.write(f"Port {settings.PORT} is taken; using {port}.")
        self.stdout.write("Starting the platform…")
        with local_platform(port=port) as platform:
            admin = accounts.ensure_first_admin()
            project = demo_project(admin)
            self.stdout.write(f"Running at {platform.url}\n")
            with (
                short_lived_token(admin) as token,
                Client(Config(platform.url, token)) as client,
            ):
                run_demo(client, project.slug, sys.stdout, share=share)
            self.say_where(platform.url, admin, project, keep=keep)
            if keep:
                platform.wait()

    def say_where(self, url: str, admin: User, project: Project, *, keep: bool) -> None:
        """Print how to look at what was made."""
        link = accounts.create_sign_in_link(
            admin, lifetime=accounts.FIRST_START_LIFETIME
        )
        start = "" if keep else "`make up` starts it again; "
        self.stdout.write(
            f"\nLook at it: {url}/p/{project.slug}/\n"
            f"{start}sign in once with {url}{link}"
        )
        if keep:
            self.stdout.write("Ctrl-C stops everything.")


def free_port(wanted: int) -> int:
    """Return `wanted`, or another port where something listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As servers do, or a port just left by one would look taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CliError(f"no port is free on {LOOPBACK}", Exit.UNREACHABLE)


def demo_project(admin: User) -> Project:
    """Return the project of earlier demos, or a new one."""
    found = projects_visible_to(admin).filter(name=PROJECT_NAME).first()
    return found or create_project(name=PROJECT_NAME, created_by=admin)


@contextmanager
def short_lived_token(admin: User) -> Iterator[str]:
    """Yield a token for the demo's own requests, dead when it is over."""
    token, secret = accounts.create_token(
        user=admin, name="demo", expires=timezone.now() + timedelta(hours=1)
    )
    try:
        yield secret
    finally:
        accounts.revoke_token(token)
