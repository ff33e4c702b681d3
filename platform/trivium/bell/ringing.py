"""Ringing: a message with no content but the queue it goes to."""

import logging

logger = logging.getLogger(__name__)


def ring(queue: str) -> bool:
    """Wake the workers of a queue; False where the broker is down.

    Nothing depends on it: a sweeper rings again what nobody heard.
    """
    # Imported here: Celery takes a while to load, and most commands never ring.
    from trivium.bell.app import EXPIRES_S, WAKE_TASK, app

    try:
        app.send_task(
            WAKE_TASK,
            queue=queue,
            ignore_result=True,
            retry=False,
            expires=EXPIRES_S,
        )
    except Exception as error:  # noqa: BLE001 - any broker fails in its own way
        logger.warning("The bell of queue %s cannot be rung: %s", queue, error)
        return False
    return True
