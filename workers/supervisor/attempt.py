"""Supervising one attempt, from its spec file to its last event.

The loop stores what the trainer says, does what people want, and watches for silence
and a full disk. A write that changes no row means that a newer attempt holds the run:
this one is a ghost, kills its trainer and stops.
"""

import logging
import shutil
import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from runspec import PreflightSpec, Spec, events
from runspec.layout import events_file, log_file, spec_file
from trivium import storage
from trivium.metrics import services as metrics
from trivium.runs import attempts, kinds, retention
from trivium.runs.claims import Claim
from trivium.runs.errors import SubmitError
from trivium.runs.models import Attempt, Run
from trivium.workers.models import Device

from supervisor import devices, processes, recovery
from supervisor.ending import Ending, GhostError, end_attempt, ending_of
from supervisor.event_reader import Batch, read_batch
from supervisor.heartbeat import Heartbeat
from supervisor.meter import Meter, meter_for
from supervisor.trainer_process import TrainerProcess, start_trainer

logger = logging.getLogger(__name__)

TICK_S = 0.1
DISK_EVERY_S = 5.0
CANCEL_GRACE_S = 6.0
"""A cancelled trainer may save this long; its device must be free in ten seconds."""
STALL_STEPS = 10
STACKS_S = 1.0
"""What a stalled trainer gets to write its stacks before it is asked to stop."""


@dataclass
class Watched:
    """One running attempt, as its supervisor sees it."""

    claim: Claim
    folder: Path
    spec: Spec
    trainer: TrainerProcess
    heartbeat: Heartbeat
    stopped: threading.Event
    """Set by SIGTERM: let the trainer save, and put the run back into the queue."""
    offset: int = 0
    ending: Ending | None = None
    """Decided once; the trainer is on its way out then."""
    kill_at: float = float("inf")
    result: events.Result | None = None
    pause: events.Pause | None = None
    error: events.Error | None = None
    heard_at: float = field(default_factory=time.monotonic)
    silences: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    disk_at: float = 0.0


def supervise(claim: Claim, stopped: threading.Event) -> None:
    """Carry out one attempt; all that comes of it is in the database."""
    folder = storage.run_folder(claim.run_id)
    meter = start_meter(claim)
    heartbeat = Heartbeat(claim, meter)
    heartbeat.start()
    watched: Watched | None = None
    try:
        watched = start_attempt(claim, folder, heartbeat, stopped)
        if watched is not None:
            exit_code = watch(watched)
            attempts.record_use(claim, meter.read())
            end_attempt(
                claim,
                folder,
                exit_code=exit_code,
                ending=ending_of(watched.ending, watched.pause, exit_code),
                result=watched.result,
                error=watched.error,
            )
            keep_checkpoints(watched)
    except (GhostError, metrics.StaleWriterError):
        logger.warning(
            "Run %s: attempt %s is a ghost and stops", claim.run_id, claim.fence
        )
    finally:
        heartbeat.stop()
        if watched is not None and watched.trainer.poll() is None:
            watched.trainer.kill()


def start_meter(claim: Claim) -> Meter:
    """Begin to measure what the devices of an attempt use."""
    held = Attempt.objects.get(run_id=claim.run_id, fence=claim.fence)
    device = Device.objects.filter(run_id=claim.run_id, fence=claim.fence).first()
    held_s = max(0.0, (timezone.now() - held.started).total_seconds())
    return meter_for(held.devices, device.name if device else "", held_s)


def start_attempt(
    claim: Claim, folder: Path, heartbeat: Heartbeat, stopped: threading.Event
) -> Watched | None:
    """Tidy up after earlier attempts and start the trainer.

    None where the attempt ended before it began: its inputs are gone.
    """
    recovery.end_older_trainers(folder, claim.fence)
    recovery.clear_leftovers(folder)
    recovery.drain_older_attempts(claim, folder)
    recovery.adopt_checkpoints(claim, folder)
    run = attempts.current(claim).select_related("project").first()
    if run is None:
        raise GhostError
    step, resume = recovery.starting_point(claim, folder, run)
    recovery.take_curves(claim, folder, resume_step=step)
    if not attempts.record_start(claim, resumed_from=step):
        raise GhostError
    try:
        spec = kinds.resolve_spec(run)
        keys = devices.endpoint_environment(spec)
    except (SubmitError, ValueError) as error:
        refuse_inputs(claim, error)
        return None
    spec_file(folder, claim.fence).write_text(spec.model_dump_json(indent=1))
    trainer = start_stage(claim, folder, spec, resume, keys)
    logger.info(
        "Run %s: attempt %s started from step %s, trainer %s",
        claim.run_id,
        claim.fence,
        step or 0,
        trainer.pid,
    )
    return Watched(claim, folder, spec, trainer, heartbeat, stopped)


def refuse_inputs(claim: Claim, error: Exception) -> None:
    """Fail a run whose inputs vanished between submission and now."""
    attempts.end_failed(
        claim,
        events.Error(
            error_class="bad_input",
            message=f"an input cannot be read: {error}",
            advice="Start it again with inputs that are there.",
        ),
        outcome=Attempt.Outcome.FAILED,
    )


def start_stage(
    claim: Claim,
    folder: Path,
    spec: Spec,
    resume: Path | None,
    keys: dict[str, str],
) -> TrainerProcess:
    """Start the trainer on the devices of this attempt; `keys` go by its environment
    alone."""
    attempt = Attempt.objects.get(run_id=claim.run_id, fence=claim.fence)
    argv = [
        str(spec_file(folder, claim.fence)),
        f"--folder={folder}",
        f"--fence={claim.fence}",
        f"--cache={storage.token_cache_folder()}",
        f"--launcher={devices.choose_launcher(attempt.devices)}",
    ]
    if resume is not None:
        argv.append(f"--resume={resume}")
    trainer = start_trainer(
        argv,
        environment=devices.trainer_environment(attempt.devices)
        | devices.hub_environment(spec)
        | keys,
        folder=folder,
        log=log_file(folder, claim.fence),
    )
    processes.write_pid(recovery.trainer_pid_file(folder, claim.fence), trainer.pid)
    return trainer


def watch(watched: Watched) -> int:
    """Follow the trainer until it is gone; return its exit code."""
    while True:
        exit_code = watched.trainer.poll()
        try:
            heard = store_news(watched)
        except (DatabaseError, InterfaceError) as error:
            # The trainer goes on; its file keeps what cannot be stored now.
            logger.warning("The database is away, will be tried again: %s", error)
            close_old_connections()
            heard = True
        if exit_code is not None and not heard:
            return exit_code
        if watched.heartbeat.is_ghost:
            raise GhostError
        if exit_code is None:
            decide(watched)
            if time.monotonic() > watched.kill_at:
                watched.trainer.kill()
            time.sleep(TICK_S)


def store_news(watched: Watched) -> bool:
    """Store what the trainer said since the last look; False where it said nothing."""
    claim = watched.claim
    path = events_file(watched.folder, claim.fence)
    batch = read_batch(path, watched.offset)
    if batch.end == batch.start:
        return False
    metrics.append_points(
        run_id=claim.run_id,
        fence=claim.fence,
        points=batch.points,
        start=batch.start,
        end=batch.end,
    )
    if not attempts.record_events(claim, batch.others, offset=batch.end):
        raise GhostError
    watched.offset = batch.end
    remember(watched, batch)
    if any(isinstance(item, events.Checkpoint) for item in batch.events):
        keep_checkpoints(watched)
    return True


def remember(watched: Watched, batch: Batch) -> None:
    """Keep the last words of the trainer, and how long it usually is silent."""
    for item in batch.events:
        if isinstance(item, events.Result):
            watched.result = item
        elif isinstance(item, events.Pause):
            watched.pause = item
        elif isinstance(item, events.Error):
            # Of several ranks the first says why, the others that it is gone.
            watched.error = watched.error or item
    now = time.monotonic()
    watched.silences.append(now - watched.heard_at)
    watched.heard_at = now


def keep_checkpoints(watched: Watched) -> None:
    """Delete the checkpoints that retention no longer keeps."""
    policy = retention.policy_of(watched.spec)
    if policy is not None:
        attempts.retire_checkpoints(watched.claim, policy=policy, folder=watched.folder)


def decide(watched: Watched) -> None:
    """Ask the trainer to stop if anything calls for it; a cancel overrides a pause."""
    wish = watched.heartbeat.wish
    is_cancelled = watched.ending and watched.ending.target == Run.State.CANCELLED
    if wish == Run.Desired.CANCEL and not is_cancelled:
        ask_to_stop(watched, Ending(Run.State.CANCELLED), grace_s=CANCEL_GRACE_S)
        return
    if watched.ending is not None:
        return
    if wish == Run.Desired.PAUSE:
        ask_to_stop(watched, Ending(Run.State.PAUSED))
    elif watched.stopped.is_set():
        ask_to_stop(
            watched, Ending(Run.State.QUEUED, "its worker stopped; it goes on later")
        )
    elif watched.heartbeat.is_lapsed:
        ask_to_stop(watched, Ending(Run.State.QUEUED, "the database was away too long"))
    elif is_disk_low(watched):
        stop_for_disk(watched)
    elif is_stalled(watched):
        stop_stalled(watched)


def ask_to_stop(
    watched: Watched, ending: Ending, *, grace_s: float | None = None
) -> None:
    """Decide how the attempt ends; the trainer is killed when the grace is over."""
    watched.ending = ending
    grace = settings.STOP_GRACE_S if grace_s is None else grace_s
    watched.kill_at = time.monotonic() + min(grace, settings.STOP_GRACE_S)
    watched.trainer.ask_to_stop()
    logger.info("Run %s: asked to stop, to be %s", watched.claim.run_id, ending.target)


def is_disk_low(watched: Watched) -> bool:
    """Whether the disk of the run's folder has less space than it must keep.

    A preflight is left alone: it would fail the run it checks, which pauses itself.
    """
    if isinstance(watched.spec, PreflightSpec):
        return False
    now = time.monotonic()
    if now < watched.disk_at:
        return False
    watched.disk_at = now + DISK_EVERY_S
    return shutil.disk_usage(watched.folder).free < settings.LOW_DISK_BYTES


def stop_for_disk(watched: Watched) -> None:
    """Pause a run that can go on later; fail one that cannot."""
    sentence = (
        f"less than {settings.LOW_DISK_BYTES / 1e9:.1f} GB is free on the disk of "
        f"{watched.folder.parent}"
    )
    if watched.spec.is_resumable:
        ask_to_stop(watched, Ending(Run.State.PAUSED, sentence))
        return
    watched.error = events.Error(
        error_class="bad_input", message=sentence, advice="Free some space, then retry."
    )
    ask_to_stop(watched, Ending(Run.State.FAILED, sentence))


def is_stalled(watched: Watched) -> bool:
    """Whether the trainer is silent for far longer than it ever was."""
    usual = statistics.median(watched.silences) if watched.silences else 0.0
    limit = max(settings.STALL_S, STALL_STEPS * usual)
    return time.monotonic() - watched.heard_at > limit


def stop_stalled(watched: Watched) -> None:
    """Let a silent trainer write its stacks, and end it as a crash."""
    silence = time.monotonic() - watched.heard_at
    watched.trainer.dump_stacks()
    time.sleep(STACKS_S)
    ask_to_stop(
        watched,
        Ending(
            Run.State.QUEUED,
            f"the trainer reported nothing for {silence:.0f} s",
            is_crash=True,
        ),
    )
