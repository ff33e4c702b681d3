"""Threads that help with a pass, and how many of them are worth it now.

The helpers sleep while no pass is taken. Numbers do not depend on how many there are
(`kernels.share`), time does: beside other busy processes a thread more can be slower.
So each pass is timed, and the faster number is taken.
"""

import atexit
import ctypes
import statistics
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import numba
import numpy as np

from inference.decoder import kernels

MOST_THREADS = 8
"""More were never measured."""
REMEMBERED = 3
"""Last times whose median says how long a pass takes."""
SOONEST_TRIAL, LATEST_TRIAL = 64, 1024
"""Passes between two trials of the other number of threads."""
WORTHWHILE = 0.9
"""Share of one thread's time that all must do with: cores have other work too."""
ROWS = (1, 4, 8, 16)
"""Passes up to each of these numbers of rows are compared with one another."""


class Team:
    """The threads of this process that take passes together."""

    def __init__(self, num_threads: int) -> None:
        """Prepare for so many threads, the caller's included; helpers start later."""
        self.words = np.zeros(kernels.NUM_WORDS, np.int64)
        self.num_threads = num_threads
        self._helpers: list[threading.Thread] = []
        self._is_taken = threading.Lock()

    @contextmanager
    def joined(self, num_threads: int) -> Iterator[int]:
        """Have helpers for one pass; tell how many threads there are, the caller's too.

        It is the caller's alone while another thread takes a pass.
        """
        if num_threads == 1 or not self._is_taken.acquire(blocking=False):
            yield 1
            return
        try:
            if not self._helpers:
                self._start()
            yield num_threads
        finally:
            self._is_taken.release()

    def close(self) -> None:
        """End the helpers; the next pass that wants some starts others."""
        with self._is_taken:
            kernels.dismiss(self.words, len(self._helpers))
            for one in self._helpers:
                one.join()
            self._helpers.clear()

    @property
    def _semaphore(self) -> int:
        return int(self.words[kernels.SEMAPHORE :].ctypes.data)

    def _start(self) -> None:
        libc = ctypes.CDLL(None)
        libc.sem_init(ctypes.c_void_p(self._semaphore), 0, 0)
        for number in range(1, self.num_threads):
            helper = threading.Thread(
                target=kernels.help_out,
                args=(self.words, self.num_threads),
                name=f"helper-{number}",
                daemon=True,
            )
            helper.start()
            self._helpers.append(helper)


@cache
def team() -> Team:
    """Return the team of this process, made when first asked for.

    As many threads as `NUMBA_NUM_THREADS` says, else as there are cores; 1 keeps
    every pass on the thread that takes it.
    """
    num_threads = min(numba.get_num_threads(), MOST_THREADS)
    made = Team(num_threads if sys.platform == "linux" else 1)
    atexit.register(made.close)
    return made


@dataclass
class Times:
    """What passes of about as many rows took, by number of threads."""

    seconds: dict[int, deque[float]] = field(default_factory=dict)
    """Per row, the last few."""
    fastest: int = 1
    until_trial: int = REMEMBERED
    trial_every: int = SOONEST_TRIAL // 2
    left_of_trial: int = 0


class ThreadChooser:
    """Chooses between one thread and all by what passes took.

    Now and then the other number is tried for a few passes; the seldomer, the longer it
    has been slower.
    """

    def __init__(self, most: int) -> None:
        """Choose between 1 and `most`."""
        self.most = most
        self._times = [Times() for _ in range(len(ROWS) + 1)]

    def choose(self, num_rows: int) -> int:
        """Return how many threads the next pass of so many rows shall take."""
        if self.most == 1:
            return 1
        times = self._of(num_rows)
        return self._other(times) if times.left_of_trial else times.fastest

    def note(self, num_rows: int, num_threads: int, took_s: float) -> None:
        """Take in what a pass took."""
        if self.most == 1:
            return
        times = self._of(num_rows)
        fresh: deque[float] = deque(maxlen=REMEMBERED)
        times.seconds.setdefault(num_threads, fresh).append(took_s / num_rows)
        if num_threads != times.fastest:
            times.left_of_trial -= 1
            if times.left_of_trial <= 0:
                times.trial_every = min(2 * times.trial_every, LATEST_TRIAL)
                times.until_trial = times.trial_every
                self._compare(times)
            return
        times.until_trial -= 1
        if times.until_trial <= 0:
            times.left_of_trial = REMEMBERED
        self._compare(times)

    def _compare(self, times: Times) -> None:
        """Change over where the other number was faster."""
        if len(times.seconds) < 2 or times.left_of_trial:
            return
        alone, together = (
            statistics.median(times.seconds[number]) for number in (1, self.most)
        )
        fastest = self.most if together < WORTHWHILE * alone else 1
        if fastest != times.fastest:
            times.fastest = fastest
            times.trial_every = times.until_trial = SOONEST_TRIAL

    def _other(self, times: Times) -> int:
        return self.most if times.fastest == 1 else 1

    def _of(self, num_rows: int) -> Times:
        place = sum(num_rows > most for most in ROWS)
        return self._times[place]
