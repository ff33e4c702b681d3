"""The Celery app. It carries one task, `wake`, known here by its name alone."""

from typing import Any

from celery import Celery
from django.conf import settings
from kombu import Exchange, Queue

from trivium.bell import filesystem

WAKE_TASK = "trivium.wake"
QUEUES = ("cpu", "gpu")
RING_TIMEOUT_S = 2.0
EXPIRES_S = 60
"""A bell nobody heard for this long tells nothing that sweepers do not know."""


def make_app() -> Celery:
    """Build the app on Redis where `REDIS_URL` names one, else on a folder."""
    # No fixups: Celery's own for Django loads every page to run Django's checks.
    app = Celery("trivium", set_as_current=False, fixups=())
    if settings.REDIS_URL:
        url = settings.REDIS_URL
        options: dict[str, Any] = {
            "global_keyprefix": "trivium:",
            "socket_connect_timeout": RING_TIMEOUT_S,
            "socket_timeout": RING_TIMEOUT_S,
            "health_check_interval": 10,
        }
    else:
        filesystem.register_transport()
        url = f"{filesystem.NAME}://localhost"
        folder = str(settings.BELL_DIR)
        options = {
            "data_folder_in": folder,
            "data_folder_out": folder,
            "polling_interval": filesystem.POLL_S,
        }
    app.conf.update(
        broker_url=url,
        broker_transport_options=options,
        broker_connection_timeout=RING_TIMEOUT_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[Queue(name, Exchange(""), routing_key=name) for name in QUEUES],
        task_default_queue="cpu",
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        # Cancel and pause are rows in the database, so remote control is not needed,
        # and its broadcast files would pile up in the folder.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
    )
    return app


app = make_app()
