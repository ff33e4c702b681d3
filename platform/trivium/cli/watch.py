"""Watching runs until they end: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

from trivium.cli.wire import Json

if TYPE_CHECKING:
    from trivium.cli.client import Client
from trivium.cli.errors import CliError, Exit
from trivium.cli.show import duration_text, plain

ENDED = {"succeeded", "failed", "cancelled"}
POLL_S = 0.5
LOSS = "train/loss"
TRAINS = {"pretrain", "sft", "dpo", "reward", "rlhf"}
"""Kinds of runs that have a loss."""
PATIENCE_S = 60.0
"""How long a server may be away before a watcher gives up."""


class Display(Protocol):
    """Shows runs as they change."""

    def show(self, run: Json, loss: float | None) -> None:
        """Show the newest state of one run."""


def watch(
    client: "Client",
    run_ids: Sequence[int],
    display: Display,
    *,
    poll_s: float = POLL_S,
    stops_at_failure: bool = False,
) -> list[Json]:
    """Show runs until all have ended or are paused; return them as they then are.

    With `stops_at_failure` the first run that will not succeed ends the watch.
    """
    runs: dict[int, Json] = {}
    versions: dict[int, int] = {}
    while True:
        for run_id in run_ids:
            if runs.get(run_id, {}).get("state") in ENDED:
                continue
            run = runs[run_id] = _patient_get(client, run_id)
            if versions.get(run_id) != run["version"]:
                versions[run_id] = run["version"]
                display.show(run, newest_loss(client, run))
        states = {run["state"] for run in runs.values()}
        is_hopeless = stops_at_failure and states & (ENDED - {"succeeded"})
        if is_hopeless or states <= ENDED | {"paused"}:
            return list(runs.values())
        time.sleep(poll_s)


def _patient_get(client: "Client", run_id: int) -> Json:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.get(f"/runs/{run_id}")
        except CliError as error:
            if error.code != Exit.UNREACHABLE or time.monotonic() > give_up:
                raise
            time.sleep(1)


def newest_loss(client: "Client", run: Json) -> float | None:
    """Return the last point of the training loss; None where there is none."""
    # Before its first step a run may count rows or characters.
    if run["kind"] not in TRAINS or run["unit"] != "steps" or not run["step"]:
        return None
    after = max(0, run["step"] - 200)
    found = client.get(f"/runs/{run['id']}/metrics", name=LOSS, after_step=after)
    values = [value for curve in found["curves"] for value in curve["values"]]
    return float(values[-1]) if values else None


def outcome(runs: Sequence[Json]) -> Exit:
    """Return the exit code that says how watched runs ended."""
    states = {run["state"] for run in runs}
    if "failed" in states:
        return Exit.RUN_FAILED
    return Exit.RUN_STOPPED if states - {"succeeded"} else Exit.OK


def ending(run: Json) -> str:
    """Return one sentence about how a run ended."""
    text = f"run {run['id']} ({run['kind']}, {run['name']}) {run['state']}"
    if run["reason"]:
        text += f": {run['reason']}"
    if run["advice"] and run["state"] == "failed":
        text += f" {run['advice']}"
    return text


@contextmanager
def display_for(stream: Any = None) -> Iterator[Display]:
    """Yield the display that suits where the output goes."""
    stream = stream or sys.stdout
    if stream.isatty():
        with Bars() as bars:
            yield bars
    else:
        yield Lines(stream)


class Bars:
    """One bar per run: step, tokens/s, loss, time left."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        from rich.progress import BarColumn, Progress, TextColumn

        self._tasks: dict[int, Any] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[facts]}"),
            refresh_per_second=5,
        )

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture standing."""
        self._progress.stop()

    def show(self, run: Json, loss: float | None) -> None:
        """Draw the run's bar."""
        from rich.markup import escape

        label = escape(plain(f"{run['kind']} {run['name']}"))[:40]
        if run["id"] not in self._tasks:
            self._tasks[run["id"]] = self._progress.add_task(label, total=1.0, facts="")
        self._progress.update(
            self._tasks[run["id"]],
            description=label,
            completed=run["fraction"],
            facts=escape(plain(facts(run, loss))),
        )


class Lines:
    """A line when the state changes, and at each tenth of the way."""

    def __init__(self, stream: Any) -> None:
        """Remember what was said."""
        self._stream = stream
        self._said: dict[int, tuple[str, int]] = {}

    def show(self, run: Json, loss: float | None) -> None:
        """Say what is new."""
        now = (str(run["state"]), int(run["fraction"] * 10))
        if self._said.get(run["id"]) != now:
            self._said[run["id"]] = now
            line = f"{run['kind']} {run['name']}: {facts(run, loss)}"
            self._stream.write(plain(line) + "\n")
            self._stream.flush()


class Silent:
    """Shows nothing; for `--json`."""

    def show(self, run: Json, loss: float | None) -> None:
        """Stay silent."""


def facts(run: Json, loss: float | None) -> str:
    """Return what a person wants to know, in one line."""
    state = run["state"]
    if state != "running":
        return f"{state}: {run['reason']}" if run["reason"] else str(state)
    parts = [run["phase"] or "running"]
    if run["total_steps"]:
        parts.append(f"{run['unit']} {run['step']:,}/{run['total_steps']:,}")
    if run["tokens_per_s"]:
        parts.append(f"{run['tokens_per_s']:,.0f} tokens/s")
    if loss is not None:
        parts.append(f"loss {loss:.3f}")
    if run["eta_s"] is not None:
        parts.append(f"ETA {duration_text(run['eta_s'])}")
    return " · ".join(parts)
