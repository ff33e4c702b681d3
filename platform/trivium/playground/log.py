"""The log of an answer: who may write it, what stands in it, how it ends.

Entries, by `type`:
    start     the model has begun: {receipt}; again after it was suspended
    tokens    {tokens: [{id, text, logprob, entropy, …}], text}
and exactly one last entry:
    done      {reason, stop, text, timings}
    stopped   {kept_seq}: entries after that one were never seen
    failed    {code, message}
"""

import uuid
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Max, Q
from django.db.models.functions import Now
from django.utils import timezone

from trivium.playground.models import Generation, GenerationEvent, Message

SILENT_AFTER = timedelta(seconds=5)
"""A writer that was not heard of for this long is dead; another takes over."""
LAST = ("done", "stopped", "failed")

State = Generation.State


class Entry(NamedTuple):
    """One entry as readers get it."""

    seq: int
    payload: dict[str, Any]

    @property
    def is_last(self) -> bool:
        """Whether nothing follows."""
        return self.payload["type"] in LAST


class Claim(NamedTuple):
    """The right to write one answer, from where it stands."""

    generation: Generation
    writer: str
    last_seq: int
    token_ids: list[int]
    """What is answered so far, `given_ids` included."""


def entries_after(generation_id: int, seq: int) -> list[Entry]:
    """Return the entries a reader has not seen."""
    rows = GenerationEvent.objects.filter(generation=generation_id, seq__gt=seq)
    return [Entry(row.seq, row.payload) for row in rows.order_by("seq")]


def tokens_of(generation: Generation) -> list[dict[str, Any]]:
    """Return the tokens this generation wrote and that were kept, in their order."""
    kept = [
        entry.payload for entry in entries_after(generation.pk, 0)
        if entry.payload["type"] == "tokens"
        and entry.seq <= kept_seq(generation)
    ]  # fmt: skip
    return [token for payload in kept for token in payload["tokens"]]


def kept_seq(generation: Generation) -> int:
    """Return the last entry that counts: where it was stopped, or the last of all."""
    last = generation.events.order_by("-seq").first()
    if last is None:
        return 0
    kept = last.payload.get("kept_seq", last.seq)
    return int(kept)


def claim_writing(generation_id: int) -> Claim | None:
    """Take the right to write, where nobody alive has it; None where somebody has."""
    writer = uuid.uuid4().hex
    is_idle = Q(state__in=[State.NEW, State.SUSPENDED]) | Q(
        state=State.RUNNING, beat__lt=Now() - SILENT_AFTER
    )
    taken = Generation.objects.filter(is_idle, pk=generation_id).update(
        state=State.RUNNING, writer=writer, beat=Now()
    )
    if not taken:
        return None
    generation = Generation.objects.get(pk=generation_id)
    entries = entries_after(generation_id, 0)
    token_ids = [
        token["id"]
        for entry in entries
        if entry.payload["type"] == "tokens"
        for token in entry.payload["tokens"]
    ]
    return Claim(
        generation,
        writer,
        entries[-1].seq if entries else 0,
        [*generation.given_ids, *token_ids],
    )


def append_entry(claim: Claim, seq: int, payload: dict[str, Any]) -> bool:
    """Add an entry; False where somebody else writes, or nobody shall any more."""
    with transaction.atomic():
        is_ours = Generation.objects.filter(
            pk=claim.generation.pk, writer=claim.writer, state=State.RUNNING
        ).update(beat=Now())
        if not is_ours:
            return False
        GenerationEvent.objects.create(
            generation=claim.generation, seq=seq, payload=payload
        )
        if payload["type"] == "start" and claim.generation.receipt is None:
            claim.generation.receipt = payload["receipt"]
            claim.generation.save(update_fields=["receipt"])
        if payload["type"] in LAST:
            state = State.DONE if payload["type"] == "done" else State.FAILED
            _close(claim.generation.pk, state, payload, up_to=seq)
    return True


def beat(claim: Claim) -> bool:
    """Say that the writer is alive; False where it is no longer wanted."""
    found = Generation.objects.filter(
        pk=claim.generation.pk, writer=claim.writer, state=State.RUNNING
    )
    return bool(found.update(beat=Now()))


def suspend(claim: Claim) -> None:
    """Let go of writing: nobody reads. The next reader has it go on."""
    Generation.objects.filter(
        pk=claim.generation.pk, writer=claim.writer, state=State.RUNNING
    ).update(state=State.SUSPENDED)


def stop_writing(generation: Generation, seen: int | None) -> bool:
    """End an answer at the entry somebody saw last; False where it is over already.

    Whoever writes finds out at its next entry, which is refused.
    """
    with transaction.atomic():
        stopped = (
            Generation.objects.filter(pk=generation.pk)
            .exclude(state__in=Generation.OVER)
            .update(state=State.STOPPED, writer="")
        )
        if not stopped:
            return False
        last = generation.events.aggregate(last=Max("seq"))["last"] or 0
        kept = last if seen is None else min(max(seen, 0), last)
        payload = {"type": "stopped", "kept_seq": kept}
        GenerationEvent.objects.create(
            generation=generation, seq=last + 1, payload=payload
        )
        _close(generation.pk, State.STOPPED, payload, up_to=kept)
    return True


def _close(
    generation_id: int, state: str, payload: dict[str, Any], *, up_to: int
) -> None:
    """Write down what the whole answer is."""
    generation = Generation.objects.get(pk=generation_id)
    entries = [one for one in entries_after(generation_id, 0) if one.seq <= up_to]
    text = generation.given_text + "".join(
        one.payload.get("text", "") for one in entries
    )
    token_ids = generation.given_ids + [
        token["id"] for one in entries for token in one.payload.get("tokens", [])
    ]
    Generation.objects.filter(pk=generation_id).update(
        state=state,
        text=text,
        token_ids=token_ids,
        finish_reason=payload.get("reason", payload["type"]),
        error=payload.get("message", ""),
        timings=payload.get("timings"),
        ended=timezone.now(),
    )
    Message.objects.filter(generation=generation_id).update(content=text)
