"""What the bell calls: one task, which claims and returns in well under a second."""

import logging
import os

from trivium.bell.app import WAKE_TASK, app

logger = logging.getLogger(__name__)

WORKER_VARIABLE = "TRIVIUM_WORKER_ID"


@app.task(name=WAKE_TASK, ignore_result=True, acks_late=False)
def wake() -> None:
    """Start every queued run that fits; a lost or doubled bell changes the delay."""
    from trivium.workers.models import Worker

    from supervisor.spawn import start_claimable

    worker = Worker.objects.get(pk=int(os.environ[WORKER_VARIABLE]))
    start_claimable(worker)
