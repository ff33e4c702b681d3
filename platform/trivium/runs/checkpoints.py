"""What people decide about checkpoints; writing and retiring them is an attempt's."""

import shutil

from django.db import transaction
from django.db.models import F

from trivium import storage
from trivium.datasets.services import InUseError
from trivium.runs import retention
from trivium.runs.models import Checkpoint, Run


def pin_checkpoint(*, run: Run, checkpoint_id: int, is_pinned: bool) -> bool:
    """Keep a checkpoint from being retired, or let it go; False where it is gone."""
    with transaction.atomic():
        found = Checkpoint.objects.filter(run=run, pk=checkpoint_id)
        if not found.update(is_pinned=is_pinned):
            return False
        Run.objects.filter(pk=run.pk).update(version=F("version") + 1)
    return True


def delete_checkpoint(*, run: Run, checkpoint_id: int) -> int | None:
    """Delete a checkpoint and its files; return its step, None where it is gone.

    Raises:
        InUseError: it is pinned, or a run goes on from it.
    """
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        rows = list(locked.checkpoints.order_by("-step"))
        row = next((row for row in rows if row.pk == checkpoint_id), None)
        if row is None:
            return None
        if reason := why_needed(locked, row, rows):
            raise InUseError(reason)
        row.delete()
        Run.objects.filter(pk=run.pk).update(version=F("version") + 1)
        # The row goes first: what is listed is complete at every moment.
        folder = storage.run_folder(run.pk) / row.path
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))
    return row.step


def why_needed(run: Run, row: Checkpoint, rows: list[Checkpoint]) -> str:
    """Say why a checkpoint must stay; empty where it may go."""
    if row.is_pinned:
        return f"the checkpoint of step {row.step} is pinned; unpin it first"
    if row.step in retention.steps_needed(run.pk):
        return (
            f"another run goes on from the checkpoint of step {row.step}; "
            "wait until that run has saved one of its own, or cancel it"
        )
    if not run.is_finished and row == rows[0]:
        return (
            f"the run would go on from the checkpoint of step {row.step} if its "
            "worker were lost; cancel the run first, or wait for the next one"
        )
    if run.state != Run.State.SUCCEEDED and len(rows) == 1:
        return (
            f"the checkpoint of step {row.step} is the only one of a run that did "
            "not finish, and all that is left of it"
        )
    return ""
