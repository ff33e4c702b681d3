"""Supervise one attempt: `python -m supervisor RUN FENCE`. The node starts it."""

import logging
import os
import signal
import sys
import threading


def main(run_id: int, fence: int) -> None:
    """Supervise, until the attempt has ended one way or another."""
    import django

    django.setup()
    from trivium.runs.claims import Claim

    from supervisor.attempt import supervise
    from supervisor.spawn import remember_supervisor

    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    # Ctrl-C at a terminal is the node's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with remember_supervisor(run_id, fence):
        supervise(Claim(run_id=run_id, fence=fence), stopped)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trivium.settings")
    logging.captureWarnings(capture=True)
    main(int(sys.argv[1]), int(sys.argv[2]))
