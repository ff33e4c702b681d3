#!/usr/bin/env python
"""Django's command line for Trivium."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Run a management command with both source roots importable."""
    sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "workers")]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trivium.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
