"""`manage.py up`: the platform on this machine, until Ctrl-C."""

import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from trivium.accounts import services as accounts
from trivium.cli.errors import CliError, Exit
from trivium.runs.local import local_platform


class Command(BaseCommand):
    """Start web and worker, print how to sign in, and stay in the foreground."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the one flag."""
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *_: Any, port: int, **__: Any) -> None:
        """Run until Ctrl-C or SIGTERM, then end every process."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with local_platform(port=port) as platform:
                link = accounts.create_sign_in_link(
                    accounts.ensure_first_admin(),
                    lifetime=accounts.FIRST_START_LIFETIME,
                )
                self.stdout.write(f"Trivium runs at {platform.url}")
                self.stdout.write(f"Sign in once with {platform.url}{link}")
                self.stdout.write("Ctrl-C stops it; runs are saved and go on later.")
                self.stdout.flush()
                try:
                    platform.wait()
                finally:
                    self.stdout.write("\nStopping; runs are being saved…")
                    self.stdout.flush()
        except CliError as error:
            self.stderr.write(f"up: {error}")
            sys.exit(error.code)
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
            sys.exit(Exit.OK)
