"""The thread that owns the device."""

import threading

import pytest
from inference.engine import Engine


class Counter:
    """A runner that has something to do for some steps."""

    num_running = num_waiting = 0

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.threads: set[str] = set()
        self.is_done = threading.Event()
        self.is_closed = False

    def add(self, sequence: object) -> None:
        """Never called."""

    def step(self) -> bool:
        self.threads.add(threading.current_thread().name)
        if self.left:
            self.left -= 1
            return True
        self.is_done.set()
        return False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def engine():
    made = Engine()
    made.start()
    yield made
    made.stop()


def test_runners_are_stepped_until_they_have_nothing_to_do(engine):
    one, two = Counter(5), Counter(9)
    for runner in (one, two):
        engine.call(lambda made=runner: engine.add(made)).result(5)
    assert one.is_done.wait(5)
    assert two.is_done.wait(5)
    assert one.threads == two.threads == {"engine"}


def test_work_is_done_while_runners_are_busy(engine):
    engine.call(lambda: engine.add(Counter(10**9))).result(5)
    assert engine.call(lambda: threading.current_thread().name).result(5) == "engine"


def test_what_goes_wrong_is_the_callers(engine):
    def fail() -> None:
        raise ValueError("not like this")

    with pytest.raises(ValueError, match="not like this"):
        engine.call(fail).result(5)
    assert engine.call(lambda: 1).result(5) == 1


def test_an_idle_engine_wakes_for_what_is_added(engine):
    runner = Counter(0)
    engine.call(lambda: engine.add(runner)).result(5)
    assert runner.is_done.wait(5)
    runner.is_done.clear()
    runner.left = 3
    engine.wake()
    assert runner.is_done.wait(5)
    assert runner.left == 0


def test_the_end_closes_runners():
    engine, runner = Engine(), Counter(10**9)
    engine.start()
    engine.call(lambda: engine.add(runner)).result(5)
    engine.stop()
    assert runner.is_closed
