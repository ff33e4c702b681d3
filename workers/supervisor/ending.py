"""How an attempt ends, judged by exit code and last events."""

import logging
import signal
from dataclasses import dataclass
from pathlib import Path

from runspec import events
from runspec.layout import EXIT_OK, EXIT_STOPPED
from trivium.runs import attempts
from trivium.runs.claims import Claim
from trivium.runs.models import Attempt, Run

logger = logging.getLogger(__name__)

FINAL_CLASSES = {"bad_input", "out_of_memory", "not_finite"}
"""Trying again would give the same answer."""


class GhostError(Exception):
    """A newer attempt holds the run."""


@dataclass(frozen=True)
class Ending:
    """What the supervisor decided before the trainer was gone."""

    target: str
    reason: str = ""
    is_crash: bool = False


def ending_of(
    decided: Ending | None, said: events.Pause | None, exit_code: int
) -> Ending | None:
    """Return how an attempt ends that may have paused by itself.

    Then it stays paused even where its host goes down; only people decide otherwise.
    """
    is_open = decided is None or decided.target == Run.State.QUEUED
    if said is not None and exit_code == EXIT_STOPPED and is_open:
        return Ending(Run.State.PAUSED, said.reason)
    return decided


def end_attempt(
    claim: Claim,
    folder: Path,
    *,
    exit_code: int,
    ending: Ending | None,
    result: events.Result | None,
    error: events.Error | None,
) -> None:
    """Record how the attempt ended.

    A trainer that was done when it was asked to stop has succeeded all the same.

    Raises:
        GhostError: a newer attempt holds the run.
    """
    is_done = exit_code == EXIT_OK or (exit_code > EXIT_STOPPED and error is None)
    if is_done and result is not None:
        stored = _publish(claim, folder, result)
    elif error is not None and error.error_class in FINAL_CLASSES:
        stored = attempts.end_failed(
            claim,
            error,
            outcome=Attempt.Outcome.FAILED,
            result=result.values if result is not None else None,
        )
    elif ending is not None and not ending.is_crash:
        stored = attempts.end_stopped(claim, target=ending.target, reason=ending.reason)
    elif ending is not None:
        stored = attempts.end_crashed(claim, reason=ending.reason)
    elif exit_code == EXIT_STOPPED:
        stored = attempts.end_stopped(
            claim, target=Run.State.QUEUED, reason="its host asked it to stop"
        )
    else:
        stored = attempts.end_crashed(claim, reason=_crash(exit_code, error))
    if not stored:
        raise GhostError
    logger.info(
        "Run %s: attempt %s ended, exit code %s", claim.run_id, claim.fence, exit_code
    )


def _publish(claim: Claim, folder: Path, result: events.Result) -> bool:
    try:
        return attempts.end_succeeded(claim, folder, result.values)
    except (OSError, ValueError) as problem:
        logger.exception("Run %s: its output cannot be published", claim.run_id)
        return attempts.end_failed(
            claim,
            events.Error(
                message=f"what the run made could not be stored: {problem}",
                advice="Look at the storage of this installation, then retry.",
            ),
            outcome=Attempt.Outcome.FAILED,
        )


def _crash(exit_code: int, error: events.Error | None) -> str:
    if error is not None:
        return error.message
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"the trainer was killed ({name})"
    return f"the trainer ended with code {exit_code} and said nothing"
