"""The ASGI application, with a sweeper beside it while it serves."""

import os
import sys
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from trivium.threads import kept_thread, without_connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trivium.settings")
os.environ.setdefault("TRIVIUM_CONNECTION_AGE", "600")

SWITCH_S = 0.001
"""How long a thread may keep the interpreter while others wait for it.

A request lets go of it at every query. At Python's 5 ms, one with thirty queries would
wait for its neighbours up to thirty times as long (`benchmarks/bench_labeling.py`)."""
sys.setswitchinterval(SWITCH_S)


class OneThread(ASGIHandler):
    """Django's handler, with all of a request but its stream on one thread.

    Django would go back to the event loop and to the thread again at each change
    between code that is async and code that is not, five times for most pages.
    """

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002
        """Chain middleware up as for WSGI; async views are awaited by the thread."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer on the thread of the request."""
        return await sync_to_async(self.get_response)(request)


django.setup(set_prefix=False)
django_application = OneThread()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests; the server's start and end are the sweeper's too."""
    if scope["type"] == "lifespan":
        await sweep_while_serving(receive, send)
        return
    async with kept_thread() as thread:
        await django_application(scope, receive, without_connection(thread, send))


async def sweep_while_serving(receive: Any, send: Any) -> None:
    """Run the sweeper from the server's start to its end."""
    from trivium.runs.sweeping import Sweeper

    sweeper = Sweeper()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            sweeper.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            sweeper.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
