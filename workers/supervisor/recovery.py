"""What a new attempt does before it starts: it makes sure of being the only one,
stores what the attempt before left unread, and picks where to go on from.
"""

import logging
import shutil
from pathlib import Path

from django.conf import settings
from django.db import transaction
from runspec import events, parse_spec
from runspec.layout import ANSWERS, CHECKPOINTS, OUTPUT, events_file
from runspec.manifest import BrokenCheckpointError, read_manifest
from trivium import storage
from trivium.metrics import services as metrics
from trivium.runs import attempts
from trivium.runs.claims import Claim
from trivium.runs.models import Attempt, Checkpoint, Run

from supervisor import processes
from supervisor.event_reader import Batch, read_rest

logger = logging.getLogger(__name__)

QUARANTINE = "broken-"


def trainer_pid_file(folder: Path, fence: int) -> Path:
    """Return where the process number of an attempt's trainer lies."""
    return folder / f"trainer-{fence}.pid"


def end_older_trainers(folder: Path, fence: int) -> None:
    """Make sure that no trainer of an earlier attempt runs on this host.

    Its supervisor is dead or a ghost; a trainer that is just saving may finish that.
    """
    for path in folder.glob("trainer-*.pid"):
        number = path.stem.removeprefix("trainer-")
        if not number.isdecimal() or int(number) >= fence:
            continue
        process = processes.read_pid(path)
        if process is not None:
            logger.info("Ending the trainer of attempt %s, pid %s", number, process.pid)
            processes.stop_group(process, grace_s=settings.STOP_GRACE_S)
        path.unlink(missing_ok=True)


def clear_leftovers(folder: Path) -> None:
    """Remove what an interrupted attempt left half-written."""
    shutil.rmtree(folder / OUTPUT, ignore_errors=True)
    for path in (folder / CHECKPOINTS).glob(".tmp-*"):
        shutil.rmtree(path, ignore_errors=True)


def drain_older_attempts(claim: Claim, folder: Path) -> None:
    """Store what earlier attempts said and no supervisor lived to read.

    Curves are not among it: `take_curves` hands them over.
    """
    older = Attempt.objects.filter(run_id=claim.run_id, fence__lt=claim.fence)
    for attempt in older.order_by("fence"):
        batch = read_rest(events_file(folder, attempt.fence), attempt.events_offset)
        if batch.end == batch.start:
            continue
        with transaction.atomic():
            if not attempts.current(claim).select_for_update().exists():
                return
            moved = Attempt.objects.filter(
                pk=attempt.pk, events_offset=batch.start
            ).update(events_offset=batch.end)
            if moved:
                attempts.store_events(claim, batch.others)


def adopt_checkpoints(claim: Claim, folder: Path) -> None:
    """List complete checkpoints whose announcement was lost with their trainer."""
    known = set(
        Checkpoint.objects.filter(run_id=claim.run_id).values_list("path", flat=True)
    )
    for path in sorted((folder / CHECKPOINTS).glob("step-*")):
        relative = str(path.relative_to(folder))
        if relative in known:
            continue
        try:
            manifest, digest = read_manifest(path, verify_hashes=True)
        except BrokenCheckpointError as error:
            _quarantine(path, error)
            continue
        size = sum(file.size for file in manifest.files.values())
        event = events.Checkpoint(
            step=manifest.step,
            path=relative,
            manifest_sha256=digest,
            size_bytes=size,
            metric=manifest.metric,
        )
        with transaction.atomic():
            if attempts.current(claim).select_for_update().exists():
                attempts.add_checkpoint(claim, event)


def newest_checkpoint(claim: Claim, folder: Path) -> tuple[int, Path] | None:
    """Return step and folder of the newest checkpoint whose hashes verify.

    A broken one is set aside, taken off the list, and named in a warning.
    """
    rows = Checkpoint.objects.filter(run_id=claim.run_id).order_by("-step")
    for row in rows:
        path = folder / row.path
        try:
            _, digest = read_manifest(path, verify_hashes=True)
            if digest != row.manifest_sha256:
                raise BrokenCheckpointError(f"{path.name}: its manifest was altered")
        except BrokenCheckpointError as error:
            _quarantine(path, error)
            attempts.forget_checkpoint(
                claim, row.step, message=f"a checkpoint is broken and not used: {error}"
            )
            continue
        return row.step, path
    return None


def inherited_checkpoint(run: Run) -> tuple[int, Path] | None:
    """Return the newest sound checkpoint of the run this one continues, if any."""
    if run.continues_id is None or not parse_spec(run.spec).is_resumable:
        return None
    folder = storage.run_folder(run.continues_id)
    rows = Checkpoint.objects.filter(run_id=run.continues_id).order_by("-step")
    for row in rows:
        try:
            read_manifest(folder / row.path, verify_hashes=True)
        except BrokenCheckpointError as error:
            logger.warning("Run %s: not continued from %s", run.pk, error)
            continue
        return row.step, folder / row.path
    return None


def starting_point(
    claim: Claim, folder: Path, run: Run
) -> tuple[int | None, Path | None]:
    """Return step and checkpoint to go on from, of this run or the one it continues.

    Answers are kept one by one instead, before they are told of: a run that has some
    goes on from as many as its progress said.
    """
    if keeps_answers(folder, run):
        return run.step or None, None
    found = newest_checkpoint(claim, folder)
    if found is None and (found := inherited_checkpoint(run)) is not None:
        assert run.continues_id is not None
        metrics.copy_curves(source=run.continues_id, target=run.pk, last_step=found[0])
    return found or (None, None)


def keeps_answers(folder: Path, run: Run) -> bool:
    """Whether answers lie in a run's folder, perhaps those of the run it continues."""
    kept = folder / ANSWERS
    if not kept.is_dir() and run.continues_id is not None:
        before = storage.run_folder(run.continues_id) / ANSWERS
        if before.is_dir():
            temporary = folder / f".tmp-{ANSWERS}"
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(before, temporary)
            temporary.rename(kept)
    return kept.is_dir()


def take_curves(claim: Claim, folder: Path, *, resume_step: int | None) -> None:
    """Become the one writer of the run's curves, with all that was said before.

    Raises:
        StaleWriterError: a newer attempt writes them.
    """
    while True:
        seen = metrics.stream_end(claim.run_id)
        rest = Batch([], 0, 0)
        if 0 < seen.fence < claim.fence:
            rest = read_rest(events_file(folder, seen.fence), seen.offset)
        if metrics.take_stream(
            run_id=claim.run_id,
            fence=claim.fence,
            seen=seen,
            last_points=rest.points,
            resume_step=resume_step,
        ):
            return


def _quarantine(path: Path, error: BrokenCheckpointError) -> None:
    logger.warning("Set aside a broken checkpoint: %s", error)
    if path.is_dir():
        aside = path.with_name(f"{QUARANTINE}{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
