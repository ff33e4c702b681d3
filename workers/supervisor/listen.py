"""Hear the bell: a Celery worker of one thread, which ends with its standard input.

The node starts it and holds the other end of that pipe, so that a node that is killed
leaves no listener behind.
"""

import logging
import os
import sys
import threading

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trivium.settings")


def end_with_standard_input() -> None:
    """Leave when whoever started this is gone."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


def main(queues: str) -> None:
    """Consume the bells of some queues until ended."""
    import django

    django.setup()
    from trivium.bell.app import app

    import supervisor.tasks  # noqa: F401 - declares the task

    threading.Thread(target=end_with_standard_input, daemon=True).start()
    logging.getLogger("celery").setLevel(logging.WARNING)
    app.worker_main(
        [
            "worker",
            "--pool=solo",
            f"--queues={queues}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=WARNING",
            f"--hostname=trivium-{os.getpid()}@%h",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1])
