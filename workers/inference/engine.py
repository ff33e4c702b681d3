"""One thread that owns the device: every step of every model is taken on it."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

from inference.sequence import Sequence

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Runner(Protocol):
    """A loaded model that answers sequences. Called on the engine's thread only."""

    @property
    def num_running(self) -> int:
        """Sequences that have a slot."""

    @property
    def num_waiting(self) -> int:
        """Sequences that wait for one."""

    def add(self, sequence: Sequence) -> None:
        """Take a sequence in; it waits for a slot."""

    def step(self) -> bool:
        """Compute some tokens; False where there is nothing to do.

        Cancelled sequences are finished first. What goes wrong with one sequence ends
        that one (`Sequence.fail`), never the runner.
        """

    def close(self) -> None:
        """Let go of the model; sequences that are left fail."""


class Engine:
    """Steps runners in turn, and does short other work between the steps."""

    def __init__(self) -> None:
        """Prepare; `start` begins."""
        self.runners: list[Runner] = []
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread works; nothing is answered any more where it does not."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread; sequences that are left fail."""
        self._work.put(None)
        self._thread.join()

    def call(self, work: Callable[[], Result]) -> "Future[Result]":
        """Do `work` on the engine's thread, between two steps."""
        future: Future[Result] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        self._work.put(do)
        return future

    def add(self, runner: Runner) -> None:
        """Step this runner from now on (on the engine's thread)."""
        self.runners.append(runner)

    def remove(self, runner: Runner) -> None:
        """Forget a runner, and close it (on the engine's thread)."""
        self.runners.remove(runner)
        runner.close()

    def wake(self) -> None:
        """See to the runners: something was added or cancelled."""
        self._work.put(lambda: None)

    def _run(self) -> None:
        is_busy = False
        while True:
            try:
                work = self._work.get(block=not is_busy)
            except queue.Empty:
                is_busy = self._step()
                continue
            if work is None:
                break
            work()
            is_busy = True  # it may have given a runner something to do
        for runner in list(self.runners):
            self.remove(runner)

    def _step(self) -> bool:
        """Step each runner once; False where none had anything to do."""
        is_busy = False
        for runner in list(self.runners):
            is_busy = runner.step() or is_busy
        return is_busy
