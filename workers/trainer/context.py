"""What a stage is given beside its spec: folders, a voice, and a sign to stop."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from runspec import events

from trainer.ranks import ALONE, Ranks


class Reporter:
    """Appends events to a file, one line each, flushed; without a file it is silent.

    Only rank 0 of a distributed run is given a file.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def metric(self, step: int, /, **values: float) -> None:
        """Report one point of each named curve, as in `**{"train/loss": 1.5}`."""
        self._write(
            *(
                events.Metric(step=step, name=name, value=value)
                for name, value in values.items()
            )
        )

    def progress(self, **values: Any) -> None:
        """Say how far the run is; takes the fields of `events.Progress`."""
        self._write(events.Progress(**values))

    def sample(self, *, step: int, prompt: str, text: str) -> None:
        self._write(events.Sample(step=step, prompt=prompt, text=text))

    def checkpoint(self, **values: Any) -> None:
        """Announce a complete checkpoint; takes the fields of `events.Checkpoint`."""
        self._write(events.Checkpoint(**values))

    def warning(self, message: str, *, step: int = 0) -> None:
        self._write(events.Warning(message=message, step=step))

    def pause(self, reason: str, *, step: int) -> None:
        """Say that the run ends here by itself, to be looked at."""
        self._write(events.Pause(step=step, reason=reason))

    def result(self, **values: Any) -> None:
        self._write(events.Result(values=values))

    def error(
        self, error_class: events.ErrorClass, message: str, advice: str = ""
    ) -> None:
        self._write(
            events.Error(error_class=error_class, message=message, advice=advice)
        )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, *lines: events.Event) -> None:
        if self._file is None:
            return
        self._file.write("".join(line.model_dump_json() + "\n" for line in lines))
        self._file.flush()


@dataclass(frozen=True)
class Context:
    """What every stage may use; all else it needs is in its spec."""

    folder: Path
    """The run's folder; see `runspec.layout`."""
    fence: int
    resume: Path | None
    """A checkpoint to go on from."""
    cache: Path
    """Where token caches and measurements of this machine outlive a run."""
    report: Reporter
    stop: threading.Event
    """Set when the run shall save and end. Ask `is_set()`; never `wait()`: a signal
    handler sets it, and would wait for the lock that a waiting main thread holds."""
    ranks: Ranks = ALONE
    """The processes that train together; only some stages train on several."""
