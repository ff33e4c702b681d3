"""`/api/v1/runs/{id}/…`: what can be watched of a run."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import Http404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.metrics import queries as metrics
from trivium.projects.models import Role
from trivium.projects.queries import require_role
from trivium.runs import checkpoints, logs, queries
from trivium.runs.models import Run

router = Router()

JsonNumber = float | Literal["NaN", "Infinity", "-Infinity"]
"""JSON has no NaN; these are the words the events use."""


class CurveOut(Schema):
    """One curve; thinned out to the lows and highs where it has many points."""

    name: str
    steps: list[int]
    values: list[JsonNumber]


class CurvesOut(Schema):
    """The curves of a run."""

    names: list[str] = Field(description="All curves there are.")
    curves: list[CurveOut] = Field(description="Those asked for.")


class SampleOut(Schema):
    """A text the model wrote."""

    id: int
    step: int
    prompt: str
    text: str
    created: datetime


class SamplePage(PageOf):
    """Samples, newest first."""

    items: list[SampleOut]


class CheckpointOut(Schema):
    """A verified state the run can go on from."""

    id: int
    step: int
    attempt: int = Field(alias="fence")
    manifest_sha256: str
    size_bytes: int
    metric: float | None = Field(
        description="By which the best is kept: the smaller, the better. A figure "
        "that should be large is negated."
    )
    is_pinned: bool
    created: datetime


class CheckpointPage(PageOf):
    """Checkpoints, newest first."""

    items: list[CheckpointOut]


class WarningOut(Schema):
    """Something a person should know."""

    id: int
    step: int
    message: str
    created: datetime


class WarningPage(PageOf):
    """Warnings, newest first."""

    items: list[WarningOut]


class AttemptOut(Schema):
    """One execution by one worker."""

    attempt: int = Field(alias="fence")
    worker: str | None
    devices: list[str]
    resumed_from: int | None = Field(description="Step it went on from.")
    started: datetime
    ended: datetime | None
    outcome: str
    reason: str

    @staticmethod
    def resolve_worker(attempt: Any) -> str | None:
        """Name the worker."""
        return attempt.worker.name if attempt.worker else None


class TransitionOut(Schema):
    """One change of state."""

    attempt: int = Field(alias="fence")
    from_state: str
    to_state: str
    actor: str
    reason: str
    at: datetime


class HistoryOut(Schema):
    """How a run came to be where it is."""

    transitions: list[TransitionOut]
    attempts: list[AttemptOut]


class LogOut(Schema):
    """A piece of what the trainer printed; not UTF-8 is shown as replacement marks."""

    attempt: int
    offset: int
    next_offset: int = Field(description="Give it back as `offset` to go on.")
    size: int = Field(description="Bytes there are now.")
    text: str


def visible_run(request: ApiRequest, run_id: int) -> Run:
    """Return a run the caller may see."""
    return find(queries.runs_visible_to(request.user), run_id)


@router.get("/{int:run_id}/metrics", response=CurvesOut, summary="Read curves")
def read_metrics(
    request: ApiRequest,
    run_id: int,
    name: Annotated[
        list[str], Query([], description="Curves wanted; none lists names.")
    ],
    max_points: Annotated[int, Query(2000, ge=2, le=100_000)] = 2000,
    after_step: Annotated[int | None, Query(None, ge=0, lt=2**63)] = None,
) -> CurvesOut:
    """Read curves, downsampled to at most `max_points` each."""
    run = visible_run(request, run_id)
    names = metrics.curve_names(run.pk)
    curves = []
    for wanted in dict.fromkeys(name):
        if wanted not in names:
            raise Http404
        curve = metrics.read_curve(
            run.pk, wanted, max_points=max_points, after_step=after_step
        )
        curves.append(
            CurveOut(
                name=wanted,
                steps=[int(step) for step in curve.steps],
                values=[json_number(value) for value in curve.values],
            )
        )
    return CurvesOut(names=list(names), curves=curves)


def json_number(value: float) -> JsonNumber:
    """Return what JSON can hold."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


@router.get("/{int:run_id}/samples", response=SamplePage, summary="Read samples")
def list_samples(
    request: ApiRequest, run_id: int, cursor: Cursor, limit: Limit
) -> Page:
    """Read the texts the model wrote while it trained."""
    run = visible_run(request, run_id)
    return page(run.samples.all(), cursor=cursor, limit=limit)


@router.get(
    "/{int:run_id}/checkpoints", response=CheckpointPage, summary="List checkpoints"
)
def list_checkpoints(
    request: ApiRequest, run_id: int, cursor: Cursor, limit: Limit
) -> Page:
    """List the complete, verified checkpoints."""
    run = visible_run(request, run_id)
    return page(run.checkpoints.all(), cursor=cursor, limit=limit)


@router.delete(
    "/{int:run_id}/checkpoints/{int:checkpoint_id}",
    response={204: None},
    summary="Delete a checkpoint",
)
def delete_checkpoint(
    request: ApiRequest, run_id: int, checkpoint_id: int
) -> Status[None]:
    """Delete a checkpoint; refused with 409 while something needs it."""
    run = visible_run(request, run_id)
    require_role(request.user, run.project, Role.ENGINEER)
    row = find(run.checkpoints.all(), checkpoint_id)
    checkpoints.delete_checkpoint(run=run, checkpoint_id=row.pk)
    return Status(204, None)


@router.get("/{int:run_id}/warnings", response=WarningPage, summary="Read warnings")
def list_warnings(
    request: ApiRequest, run_id: int, cursor: Cursor, limit: Limit
) -> Page:
    """Read what a person should know about the run."""
    run = visible_run(request, run_id)
    return page(run.warnings.all(), cursor=cursor, limit=limit)


@router.get("/{int:run_id}/history", response=HistoryOut, summary="Read the history")
def read_history(request: ApiRequest, run_id: int) -> dict[str, Any]:
    """Read the newest 200 changes of state, and the newest 200 attempts."""
    run = visible_run(request, run_id)
    return {
        "transitions": run.transitions.order_by("-pk")[:200],
        "attempts": run.attempts.select_related("worker").order_by("-fence")[:200],
    }


@router.get("/{int:run_id}/log", response=LogOut, summary="Read the log")
def read_log(
    request: ApiRequest,
    run_id: int,
    attempt: Annotated[
        int | None, Query(None, description="None: the newest.", ge=1, lt=2**31)
    ] = None,
    offset: Annotated[
        int | None,
        Query(
            None, description="Byte to start at; none: near the end.", ge=0, lt=2**63
        ),
    ] = None,
    limit: Annotated[
        int, Query(65_536, description="Bytes at most.", ge=1, le=1_048_576)
    ] = 65_536,
) -> LogOut:
    """Read what the trainer printed, from a byte offset on."""
    run = visible_run(request, run_id)
    number = run.fence if attempt is None else attempt
    piece = logs.read_log(run.pk, number, offset=offset, limit=limit)
    return LogOut(attempt=number, **piece._asdict())
