"""Answers while they are written, and how they were made."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST, require_safe

from trivium.accounts.models import User
from trivium.http import SignedInRequest
from trivium.playground import beside, log, services, streaming
from trivium.playground.drawing import Drawing
from trivium.playground.log import Entry
from trivium.playground.models import Generation
from trivium.playground.queries import generations_visible_to
from trivium.projects.queries import get_project
from trivium.serving import client
from trivium.serving.choices import find_choice
from trivium.serving.errors import ChoiceNotFoundError

DRAW_S = 0.06
"""A page is drawn this often at most: the eye needs no more, and drawing costs."""


def find_generation(user: User, slug: str, generation_id: int) -> Generation:
    """Return one answer; those of others, unless shared, are not there."""
    project = get_project(user, slug)
    found = generations_visible_to(user).filter(project=project, pk=generation_id)
    rows = found.select_related("message__conversation", "project", "created_by")
    generation = rows.distinct().first()
    if generation is None:
        raise Http404("no such answer")
    return generation


def own_generation(user: User, slug: str, generation_id: int) -> Generation:
    """Return an answer this person asked for."""
    generation = find_generation(user, slug, generation_id)
    if generation.created_by != user:
        raise Http404("no such answer")
    return generation


@login_required
@require_GET
async def stream_generation(
    request: SignedInRequest, slug: str, generation_id: int
) -> HttpResponseBase:
    """Stream the log of an answer, from behind what was already seen.

    `?drawn=1` has its tokens as pieces of HTML, the first of them from the beginning.
    """
    user = await request.auser()
    assert isinstance(user, User)
    generation = await sync_to_async(find_generation)(user, slug, generation_id)
    is_hidden = await sync_to_async(beside.is_name_hidden)(generation)
    given = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    after = int(given[:9]) if given.isdecimal() else 0
    if request.GET.get("drawn") and not is_hidden:
        events = drawn_events_of(generation)
    else:
        events = events_of(generation_id, after, is_name_hidden=is_hidden)
    response = StreamingHttpResponse(events, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def events_of(
    generation_id: int, after: int, *, is_name_hidden: bool = False
) -> AsyncIterator[str]:
    """Yield entries as server-sent events; their ids are the places in the log."""
    yield "retry: 500\n\n"
    entries = streaming.read(generation_id, after)
    async with aclosing(entries):
        async for entry in entries:
            if entry is None:
                yield ": still here\n\n"
                continue
            if is_name_hidden and entry.payload["type"] == "start":
                # The receipt would tell which model it is.
                entry = Entry(entry.seq, {"type": "start"})  # noqa: PLW2901
            yield as_event(entry)


async def drawn_events_of(generation: Generation) -> AsyncIterator[str]:
    """Yield the whole log, its text as HTML: `{settled, tail, num, is_first}`."""
    yield "retry: 500\n\n"
    drawing = Drawing()
    is_first = True
    given = generation.given_text
    batches = streaming.read_batches(generation.pk, 0)
    async with aclosing(batches):
        async for batch in batches:
            if not batch:
                yield ": still here\n\n"
            told = [one for one in batch if one.payload["type"] == "tokens"]
            for entry in batch:
                if entry.payload["type"] == "start":
                    # Without the receipt: a page that hides names asks for no more.
                    yield as_event(Entry(entry.seq, {"type": "start"}))
            if told:
                text = "".join(one.payload["text"] for one in told)
                piece = drawing.add(given + text)
                drawn = {
                    "type": "tokens",
                    "settled": piece.settled,
                    "tail": piece.tail,
                    "num": sum(len(one.payload["tokens"]) for one in told),
                    "is_first": is_first,
                }
                yield as_event(Entry(told[-1].seq, drawn))
                given, is_first = "", False
            if batch and batch[-1].is_last:
                yield as_event(batch[-1])
            await asyncio.sleep(DRAW_S)


def as_event(entry: Entry) -> str:
    """Write an entry as a server-sent event; its id is its place in the log."""
    kind, written = entry.payload["type"], json.dumps(entry.payload)
    return f"id: {entry.seq}\nevent: {kind}\ndata: {written}\n\n"


@login_required
@require_POST
async def stop_generation(
    request: SignedInRequest, slug: str, generation_id: int
) -> HttpResponse:
    """End an answer with what was seen of it; tell when its slot was free."""
    user = await request.auser()
    assert isinstance(user, User)
    generation = await sync_to_async(own_generation)(user, slug, generation_id)
    seen = request.POST.get("seen", "")
    freed_ms = await stop(generation, int(seen[:9]) if seen.isdecimal() else None)
    if request.headers.get("Accept", "").startswith("application/json"):
        return JsonResponse({"freed_ms": freed_ms})
    return redirect(await sync_to_async(address_of)(generation))


async def stop(generation: Generation, seen: int | None) -> float | None:
    """Stop an answer, and return after how many milliseconds its slot was free."""
    request_id = f"generation-{generation.pk}-{generation.writer}"
    is_stopped = await sync_to_async(log.stop_writing)(generation, seen)
    if not is_stopped:
        return None
    freed_ms = None
    if generation.writer and generation.created_by is not None:
        try:
            choice = await sync_to_async(find_choice)(
                generation.created_by, generation.choice_id
            )
        except ChoiceNotFoundError:
            choice = None
        if choice is not None:
            freed_ms = (await client.cancel(choice, request_id)).freed_ms
    await streaming.halt(generation.pk)
    await Generation.objects.filter(pk=generation.pk).aupdate(freed_ms=freed_ms)
    return freed_ms


def address_of(generation: Generation) -> str:
    """Return the page an answer stands on."""
    slug = generation.project.slug
    if generation.message is None:
        return reverse("playground:receipt", args=[slug, generation.pk])
    conversation = generation.message.conversation_id
    return reverse("playground:conversation", args=[slug, conversation])


@login_required
@require_POST
def continue_generation(
    request: SignedInRequest, slug: str, generation_id: int
) -> HttpResponse:
    """Have an answer go on where it ended."""
    from trivium.playground.views_messages import thread

    generation = own_generation(request.user, slug, generation_id)
    if not generation.is_over:
        return redirect(address_of(generation))
    new = services.go_on(generation, sender=request.user)
    if new.message is None:
        return redirect(address_of(new))
    return thread(request, generation.project, new.message.conversation)


@login_required
@require_safe
def show_receipt(
    request: SignedInRequest, slug: str, generation_id: int
) -> HttpResponse:
    """Show how an answer was made; `?format=json` gives it as a file."""
    generation = find_generation(request.user, slug, generation_id)
    beside.refuse_hidden(generation)
    if request.GET.get("format") == "json":
        response = JsonResponse(
            receipt_json(generation), json_dumps_params={"indent": 1}
        )
        name = f"generation-{generation.pk}.json"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
    context = {
        "project": generation.project,
        "generation": generation,
        "compared": compared(generation),
    }
    part = "#receipt" if request.htmx else ""
    return render(request, f"playground/receipt.html{part}", context)


def receipt_json(generation: Generation) -> dict[str, object]:
    """Return all that is known of how an answer was made."""
    return {
        "id": generation.pk,
        "model": generation.choice_id,
        "state": generation.state,
        "receipt": generation.receipt,
        "prompt": generation.prompt,
        "left_out": generation.dropped,
        "begins_with_ids": generation.given_ids,
        "token_ids": generation.token_ids,
        "text": generation.text,
        "finish_reason": generation.finish_reason,
        "timings": generation.timings,
        "slot_free_after_ms": generation.freed_ms,
        "error": generation.error or None,
        "created": generation.created,
    }


def compared(generation: Generation) -> dict[str, object] | None:
    """Say whether a replay gave the same tokens as what it repeats."""
    first = generation.replay_of
    if first is None or not generation.is_over:
        return None
    pairs = list(zip(first.token_ids, generation.token_ids, strict=False))
    same = next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))
    is_equal = first.token_ids == generation.token_ids
    return {"first": first, "is_equal": is_equal, "num_same": same}


@login_required
@require_POST
def replay_generation(
    request: SignedInRequest, slug: str, generation_id: int
) -> HttpResponse:
    """Ask the same again, to see whether the same comes."""
    generation = own_generation(request.user, slug, generation_id)
    beside.refuse_hidden(generation)
    again = services.replay(generation, sender=request.user)
    return redirect("playground:receipt", slug, again.pk)
