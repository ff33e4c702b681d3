"""What a run's page fetches while it is open: the stream, chart points, the log."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.db import close_old_connections
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET, require_safe

from trivium.accounts.models import User
from trivium.http import SignedInRequest, as_id
from trivium.metrics.queries import curve_names
from trivium.metrics.services import stream_end
from trivium.projects.models import Role
from trivium.projects.queries import has_role
from trivium.runs import charts, logs, queries, watching
from trivium.runs.models import Run
from trivium.runs.retrying import RetryForm
from trivium.runs.views import find_run

POLL_S = 1.0
HEARTBEAT_S = 15.0
MAX_STREAM_S = 900.0
"""Then the browser connects anew, and with it the session is checked again."""
LOG_PIECE = 32_768
MAX_DOWNLOAD = 64 * 2**20


class Cursor(NamedTuple):
    """What a page has already been told."""

    version: int = -1
    points_fence: int = -1
    points_offset: int = -1
    log_attempt: int = 0
    log_offset: int = 0

    def __str__(self) -> str:
        return ".".join(str(part) for part in self)


class Look(NamedTuple):
    """What is new since a cursor."""

    cursor: Cursor
    events: list[tuple[str, str]]
    is_over: bool


def parse_cursor(text: str) -> Cursor:
    """Return the cursor a page gives back; from the beginning where it is none."""
    parts = text.split(".")
    numbers = [-1 if part == "-1" else as_id(part) for part in parts]
    if len(numbers) != len(Cursor._fields):
        return Cursor()
    known = [number for number in numbers if number is not None]
    return Cursor(*known) if len(known) == len(numbers) else Cursor()


def look(request: SignedInRequest, user_id: int, run_id: int, cursor: Cursor) -> Look:
    """Return what is new of a run, if this person may (still) see it.

    Raises:
        Http404: the run is gone, or the person may no longer see it.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        raise Http404("no such run")
    visible = queries.runs_visible_to(user).filter(pk=run_id)
    run = visible.select_related("project", "created_by", "worker").first()
    if run is None:
        raise Http404("no such run")
    events = []
    version = watching.shown_version(run)
    if version != cursor.version:
        can_edit = has_role(user, run.project, Role.ENGINEER)
        events += changed_parts(request, run, can_edit=can_edit)
    end = stream_end(run.pk)
    if tuple(end) != (cursor.points_fence, cursor.points_offset):
        events.append(("points", json.dumps({"fence": run.fence})))
    piece_cursor = (cursor.log_attempt, cursor.log_offset)
    if request.GET.get("tab") == "log" and run.fence:
        is_new_log = run.fence != cursor.log_attempt
        start = 0 if is_new_log else cursor.log_offset
        piece = logs.read_log(run.pk, run.fence, offset=start, limit=LOG_PIECE)
        piece_cursor = (run.fence, piece.next_offset)
        if piece.text:
            told = {"text": piece.text, "is_new": is_new_log}
            events.append(("log", json.dumps(told)))
    if run.is_finished:
        events.append(("end", json.dumps({"state": run.state})))
    new = Cursor(version, end.fence, end.offset, *piece_cursor)
    return Look(new, events, run.is_finished)


def changed_parts(
    request: SignedInRequest, run: Run, *, can_edit: bool
) -> list[tuple[str, str]]:
    """Return the parts of the page that show a run's state, drawn anew."""
    context = watching.header_context(run, can_edit=can_edit)
    if context["can_retry"]:
        context["retry_form"] = RetryForm(run)
    context["is_told_below"] = watching.is_told_on_tab(run, request.GET.get("tab", ""))
    parts = ["status", "actions", "side"]
    if run.state == Run.State.FAILED:
        parts.append("failure")
    drawn: list[tuple[str, str]] = [
        (part, render_to_string(f"runs/detail.html#{part}", context, request))
        for part in parts
    ]
    if request.GET.get("tab") == "preflight":
        context |= watching.preflight_tab(run)
        part = render_to_string("runs/tabs/preflight.html#live", context, request)
        drawn.append(("preflight", part))
        if run.is_live:
            drawn.append(("begun", "{}"))
    return [*drawn, ("counts", json.dumps(watching.counts(run)))]


def look_in_thread(
    request: SignedInRequest, user_id: int, run_id: int, cursor: Cursor
) -> Look:
    """Look on a thread of the event loop: a stream would keep that of its request."""
    close_old_connections()
    try:
        return look(request, user_id, run_id, cursor)
    finally:
        close_old_connections()


@login_required
@require_GET
async def stream_run(
    request: SignedInRequest, slug: str, run_id: int
) -> HttpResponseBase:
    """Stream what is new of a run, as server-sent events; `?once=1` answers JSON."""
    user_id = (await request.auser()).pk
    assert user_id is not None
    run = await sync_to_async(find_run)(request, slug, run_id)
    given = request.headers.get("Last-Event-ID") or request.GET.get("cursor", "")
    cursor = parse_cursor(given)
    if request.GET.get("once"):
        seen = await sync_to_async(look)(request, user_id, run.pk, cursor)
        return JsonResponse({"cursor": str(seen.cursor), "events": seen.events})
    response = StreamingHttpResponse(
        events_of(request, user_id, run.pk, cursor), content_type="text/event-stream"
    )
    response["Cache-Control"] = "no-cache, no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def events_of(
    request: SignedInRequest, user_id: int, run_id: int, cursor: Cursor
) -> AsyncIterator[str]:
    """Yield events until the run is finished or the person may not see it any more."""
    look_async = sync_to_async(look_in_thread, thread_sensitive=False)
    yield "retry: 2000\n\n"
    began = last_sent = time.monotonic()
    while time.monotonic() - began < MAX_STREAM_S:
        try:
            seen = await look_async(request, user_id, run_id, cursor)
        except Http404:
            yield as_event("gone", "{}", cursor)
            return
        cursor = seen.cursor
        for name, text in seen.events:
            yield as_event(name, text, cursor)
        if seen.is_over:
            return
        if seen.events:
            last_sent = time.monotonic()
        elif time.monotonic() - last_sent > HEARTBEAT_S:
            yield ": still here\n\n"
            last_sent = time.monotonic()
        await asyncio.sleep(POLL_S)


def as_event(name: str, text: str, cursor: Cursor) -> str:
    """Write one server-sent event; a line break in it starts a new `data:` line."""
    lines = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"id: {cursor}\nevent: {name}\n{lines}\n"


@login_required
@require_safe
def chart_data(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Give the charts there are, or the points of `?name=` (repeated, with `after=`).

    `?format=csv` gives every point of the named curves as a file.
    """
    run = find_run(request, slug, run_id)
    names = request.GET.getlist("name")
    if request.GET.get("format") == "csv":
        known = curve_names(run.pk)
        text = charts.as_csv(run, [name for name in names or known if name in known])
        response = HttpResponse(text, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="run-{run.pk}.csv"'
        return response
    if not names:
        return JsonResponse(charts.overview(run))
    steps = [as_id(step) for step in request.GET.getlist("after")]
    steps += [None] * len(names)
    asked = zip(names, steps, strict=False)
    wanted = {name: step for name, step in asked if "\0" not in name}
    return JsonResponse(charts.overview(run) | {"curves": charts.points(run, wanted)})


@login_required
@require_safe
def show_log(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Give the end of a log as plain text; `?download=1` all of it, as a file."""
    run = find_run(request, slug, run_id)
    attempt = as_id(request.GET.get("attempt", "")) or run.fence
    is_download = bool(request.GET.get("download"))
    limit = MAX_DOWNLOAD if is_download else watching.LOG_BYTES
    piece = logs.read_log(run.pk, min(attempt, 2**31), limit=limit)
    response = HttpResponse(piece.text, content_type="text/plain; charset=utf-8")
    if is_download:
        name = f"run-{run.pk}-attempt-{attempt}.log"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
