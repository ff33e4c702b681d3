"""The heartbeat of an attempt, in a thread of its own.

Slow writes of the supervisor must not cost it the lease, so the lease is renewed over
a connection of its own; the same thread notices what people want of the run, and notes
what the attempt uses.
"""

import logging
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from trivium.runs import attempts
from trivium.runs.claims import Claim
from trivium.runs.models import Run

from supervisor.meter import Meter

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often a wish is looked for between renewals."""


class Heartbeat(threading.Thread):
    """Renews the lease until stopped, or until a newer attempt holds the run."""

    def __init__(self, claim: Claim, meter: Meter) -> None:
        """Prepare; `start()` begins."""
        super().__init__(name="heartbeat", daemon=True)
        self.claim = claim
        self.meter = meter
        self.wish: str = Run.Desired.NONE
        """What a person wants of the run, as of the last look."""
        self.is_ghost = False
        self._renewed = time.monotonic()
        self._stopped = threading.Event()

    @property
    def is_lapsed(self) -> bool:
        """Whether the lease ran out, for all this process can tell."""
        return time.monotonic() - self._renewed > settings.LEASE_S

    def run(self) -> None:
        """Renew; a database that is away is tried again."""
        interval = min(LOOK_S, settings.HEARTBEAT_S)
        due = 0.0
        while not self.is_ghost and not self._stopped.wait(interval):
            now = time.monotonic()
            try:
                if now >= due:
                    self._renew(now)
                    due = now + settings.HEARTBEAT_S
                else:
                    self._look()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The lease could not be renewed: %s", error)
                connections.close_all()
        connections.close_all()

    def _renew(self, now: float) -> None:
        wish = attempts.renew_lease(self.claim)
        if wish is None:
            self.is_ghost = True
            return
        self.wish, self._renewed = wish, now
        attempts.record_use(self.claim, self.meter.read())

    def _look(self) -> None:
        found = attempts.current(self.claim).values_list("desired_state", flat=True)
        self.wish = found.first() or Run.Desired.NONE

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        self.join(timeout=30)
