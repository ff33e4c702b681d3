"""What people decide about checkpoints; writing and retiring them is an attempt's."""

from django.db import transaction
from django.db.models import F

from trivium.runs.models import Checkpoint, Run


def pin_checkpoint(*, run: Run, checkpoint_id: int, is_pinned: bool) -> bool:
    """Keep a checkpoint from being retired, or let it go; False where it is gone."""
    with transaction.atomic():
        found = Checkpoint.objects.filter(run=run, pk=checkpoint_id)
        if not found.update(is_pinned=is_pinned):
            return False
        Run.objects.filter(pk=run.pk).update(version=F("version") + 1)
    return True
