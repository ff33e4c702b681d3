"""What tests of stages share: what is given to one, and what it said.

A stage without checkpoints gets a `FakeContext` with a `Recorder`; one that resumes
gets a real one, whose events lie in a file as a supervisor finds them.
"""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runspec import events as spoken
from runspec.events import Progress, Result, Warning  # noqa: A004
from runspec.layout import events_file
from trainer.context import Context, Reporter


class Recorder:
    """Takes what a stage reports, checked as events are."""

    def __init__(self) -> None:
        self.progresses: list[Progress] = []
        self.warnings: list[str] = []
        self.results: list[dict[str, Any]] = []

    def progress(self, **values: Any) -> None:
        self.progresses.append(Progress(**values))

    def warning(self, message: str) -> None:
        self.warnings.append(Warning(message=message).message)

    def result(self, **values: Any) -> None:
        self.results.append(Result(values=values).values)


@dataclass
class FakeContext:
    """As much of a context as a stage without checkpoints uses."""

    folder: Path
    report: Recorder = field(default_factory=Recorder)
    stop: threading.Event = field(default_factory=threading.Event)


class StoppingReporter(Reporter):
    """Writes events, and sets a sign once a step was reported."""

    def __init__(self, path: Path, stop: threading.Event, at: int | None) -> None:
        super().__init__(path)
        self._stop, self._at = stop, at

    def metric(self, step: int, /, **values: float) -> None:
        super().metric(step, **values)
        if self._at is not None and step >= self._at:
            self._stop.set()


def context_for(
    folder: Path,
    *,
    fence: int = 1,
    resume: Path | None = None,
    stop_at: int | None = None,
    cache: Path | None = None,
) -> Context:
    folder.mkdir(exist_ok=True)
    stop = threading.Event()
    return Context(
        folder=folder,
        fence=fence,
        resume=resume,
        cache=cache or folder.parent / "cache",
        report=StoppingReporter(events_file(folder, fence), stop, stop_at),
        stop=stop,
    )


def read_events(folder: Path, fence: int = 1) -> list[spoken.AnyEvent]:
    lines = events_file(folder, fence).read_text().splitlines()
    return [spoken.parse_event(line) for line in lines]


def curve(folder: Path, name: str, *fences: int) -> dict[int, str]:
    """Return a curve to the bit, as JSON holds it; later attempts replace earlier."""
    found: dict[int, str] = {}
    for fence in fences or (1,):
        for event in read_events(folder, fence):
            if isinstance(event, spoken.Metric) and event.name == name:
                found[event.step] = json.dumps(event.value)
    return found


def result_of(folder: Path, fence: int = 1) -> dict[str, Any]:
    [found] = [e for e in read_events(folder, fence) if isinstance(e, spoken.Result)]
    return found.values
