"""What a supervisor writes. Each write carries its fence: False means "a ghost: stop".

`Run.fence` is raised by each claim, so an old attempt's writes change no row.
"""

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from runspec import events

from trivium.runs import kinds, retention, sweeping
from trivium.runs.claims import Claim
from trivium.runs.models import Attempt, Checkpoint, Run, RunWarning, Sample
from trivium.runs.transitions import move_run
from trivium.workers.models import Device

Outcome = Attempt.Outcome
State = Run.State


class Used(NamedTuple):
    """What an attempt has used since it began."""

    device: str
    num_units: int
    device_s: float
    energy_j: float | None
    """None where nothing measures it."""
    energy_source: str


def current(claim: Claim) -> QuerySet[Run]:
    """Return the run while `claim` still holds it; the fence is enforced here."""
    return Run.objects.filter(pk=claim.run_id, fence=claim.fence, state__in=Run.LIVE)


def renew_lease(claim: Claim) -> str | None:
    """Extend the lease; return what a person wants of the run, or None for a ghost."""
    lease = Now() + timedelta(seconds=settings.LEASE_S)
    if not current(claim).update(lease_until=lease):
        return None
    return current(claim).values_list("desired_state", flat=True).first()


def record_use(claim: Claim, used: Used) -> bool:
    """Store what the attempt has used so far."""
    held = _attempt(claim).filter(run__fence=claim.fence, run__state__in=Run.LIVE)
    return bool(held.update(**used._asdict()))


def record_start(claim: Claim, *, resumed_from: int | None) -> bool:
    """Note where this attempt goes on from."""
    with transaction.atomic():
        if not current(claim).update(version=F("version") + 1, step=resumed_from or 0):
            return False
        _attempt(claim).update(resumed_from=resumed_from)
    return True


def record_events(
    claim: Claim, batch: Sequence[events.AnyEvent], *, offset: int
) -> bool:
    """Store all but metrics, and move the offset, in one transaction."""
    with transaction.atomic():
        if not current(claim).select_for_update().exists():
            return False
        if (
            not _attempt(claim)
            .filter(events_offset__lte=offset)
            .update(events_offset=offset)
        ):
            return False
        store_events(claim, batch)
    return True


def store_events(claim: Claim, batch: Sequence[events.AnyEvent]) -> None:
    """Store events inside the caller's transaction, which has checked the fence."""
    changes: dict[str, Any] = {}
    for event in batch:
        match event:
            case events.Progress():
                changes = {
                    "step": event.step,
                    "total_steps": event.total,
                    "unit": event.unit,
                    "phase": event.phase[:100],
                    "tokens": event.tokens,
                    "tokens_per_s": event.tokens_per_s,
                    "eta_s": event.eta_s,
                }
            case events.Sample():
                _add_sample(claim, event)
            case events.Warning():
                add_warning(claim, event.message, step=event.step)
            case events.Checkpoint():
                add_checkpoint(claim, event)
            case _:
                pass  # metrics are stored apart; result and error end the attempt
    current(claim).update(version=F("version") + 1, **changes)


def _add_sample(claim: Claim, event: events.Sample) -> None:
    # A step taken again after a resume replaces what it said the first time.
    Sample.objects.filter(
        run_id=claim.run_id,
        step=event.step,
        prompt=event.prompt,
        fence__lt=claim.fence,
    ).delete()
    Sample.objects.create(
        run_id=claim.run_id,
        fence=claim.fence,
        step=event.step,
        prompt=clean(event.prompt),
        text=clean(event.text),
    )


def add_warning(claim: Claim, message: str, *, step: int = 0) -> None:
    """Tell people something; the run goes on."""
    RunWarning.objects.create(
        run_id=claim.run_id, fence=claim.fence, step=step, message=clean(message)
    )


def add_checkpoint(claim: Claim, event: events.Checkpoint) -> None:
    """List a complete checkpoint; a step saved again replaces the older row."""
    Checkpoint.objects.update_or_create(
        run_id=claim.run_id,
        step=event.step,
        defaults={
            "fence": claim.fence,
            "path": event.path,
            "manifest_sha256": event.manifest_sha256,
            "size_bytes": event.size_bytes,
            "metric": event.metric,
        },
    )


def clean(text: str) -> str:
    """Return text that every database takes: PostgreSQL refuses NUL."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def retire_checkpoints(
    claim: Claim, *, policy: retention.Policy, folder: Path
) -> list[int]:
    """Delete what retention no longer keeps; return the steps.

    `retention.choose_kept` says what stays: never nothing, and never what another
    run goes on from.
    """
    with transaction.atomic():
        if not current(claim).select_for_update().exists():
            return []
        rows = list(Checkpoint.objects.filter(run_id=claim.run_id).order_by("-step"))
        needed = retention.steps_needed(claim.run_id)
        kept = retention.choose_kept(rows, policy, needed=needed)
        retired = [row for row in rows if row.pk not in kept]
        Checkpoint.objects.filter(pk__in=[row.pk for row in retired]).delete()
    for row in retired:
        shutil.rmtree(folder / row.path, ignore_errors=True)
    return [row.step for row in retired]


def forget_checkpoint(claim: Claim, step: int, *, message: str) -> None:
    """Take a broken checkpoint off the list, and say so."""
    with transaction.atomic():
        if current(claim).select_for_update().exists():
            Checkpoint.objects.filter(run_id=claim.run_id, step=step).delete()
            add_warning(claim, message, step=step)


def end_succeeded(claim: Claim, folder: Path, result: dict[str, Any]) -> bool:
    """Publish what the attempt made; then fill its object and end the run as one."""
    run = current(claim).select_related("project").first()
    if run is None:
        return False
    values = kinds.publish_output(run, folder, result)
    with transaction.atomic():
        if not current(claim).select_for_update().exists():
            return False
        kinds.record_output(run, values)
        return _end(
            claim,
            State.SUCCEEDED,
            Outcome.SUCCEEDED,
            result=result,
            step=F("total_steps"),
            eta_s=None,
            phase="",
        )


def end_failed(
    claim: Claim,
    error: events.Error,
    *,
    outcome: str,
    result: dict[str, Any] | None = None,
) -> bool:
    """End the run for good, with the sentence its page opens on."""
    return _end(
        claim,
        State.FAILED,
        outcome,
        reason=clean(error.message),
        advice=clean(error.advice),
        error_class=error.error_class,
        result=result or {},
        eta_s=None,
    )


def end_stopped(claim: Claim, *, target: str, reason: str = "") -> bool:
    """End the attempt on request; the run is paused, cancelled or queued again.

    Why it was asked to pause stays where nothing else is to be said.
    """
    if target == State.PAUSED and not reason:
        asked = current(claim).filter(state=State.PAUSING)
        reason = asked.values_list("reason", flat=True).first() or ""
    return _end(
        claim,
        target,
        Outcome.STOPPED,
        reason=reason,
        desired_state=Run.Desired.NONE,
        eta_s=None,
        tokens_per_s=None,
    )


def end_crashed(claim: Claim, *, reason: str) -> bool:
    """Queue the run again after a crash, with back-off, or fail it.

    At most `MAX_CRASHES` crashes are retried, and each only if the run got further
    than at the crash before.
    """
    with transaction.atomic():
        run = current(claim).select_for_update().first()
        if run is None:
            return False
        if run.crashes >= settings.MAX_CRASHES:
            why = f"crashed {run.crashes + 1} times"
        elif run.crash_step is not None and run.step <= run.crash_step:
            why = f"crashed again without getting beyond step {run.crash_step}"
        else:
            wait = timedelta(seconds=settings.CRASH_BACKOFF_S * 4**run.crashes)
            return _end(
                claim,
                State.QUEUED,
                Outcome.CRASHED,
                reason=f"tried again after: {clean(reason)}",
                crashes=run.crashes + 1,
                crash_step=run.step,
                not_before=Now() + wait,
            )
        return end_failed(
            claim,
            events.Error(
                message=f"{reason} ({why})",
                advice="Read the last lines of the log; they name the cause.",
            ),
            outcome=Outcome.CRASHED,
        )


def _end(claim: Claim, target: str, outcome: str, **changes: Any) -> bool:
    reason = changes.pop("reason", "")
    with transaction.atomic():
        moved = move_run(
            run_id=claim.run_id,
            fence=claim.fence,
            sources=Run.LIVE,
            target=target,
            actor="supervisor",
            reason=reason,
            **changes,
        )
        if moved:
            _attempt(claim).update(outcome=outcome, ended=Now(), reason=reason)
            Device.objects.filter(run_id=claim.run_id, fence=claim.fence).update(
                run=None
            )
        if moved and target in Run.TERMINAL:
            transaction.on_commit(sweeping.move_waiting_on, robust=True)
    return moved


def _attempt(claim: Claim) -> QuerySet[Attempt]:
    return Attempt.objects.filter(run_id=claim.run_id, fence=claim.fence)
