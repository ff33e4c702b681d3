"""`/api/v1/sweeps`, and starting one from a run."""

from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.idempotency import once
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs import sweeps
from trivium.runs.api import find_writable
from trivium.runs.models import Sweep
from trivium.runs.sweep_plan import MAX_AXES, MAX_MEMBERS, Axis, Method

router = Router()
starting = Router()
"""Operations on a run that make a sweep."""


class SweepIn(Body):
    """What to try around a run."""

    axes: list[Axis] = Field(min_length=1, max_length=MAX_AXES)
    method: Method = Field(
        default="grid", description="Every combination, or some drawn at random."
    )
    number: int = Field(
        default=10, ge=1, le=MAX_MEMBERS, description="Runs a random sweep draws."
    )
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="The same seed draws the same runs."
    )
    name: str = Field(default="", max_length=200)


class PreviewOut(Schema):
    """What a sweep would do."""

    num_runs: int
    values: list[dict[str, Any]] = Field(description="Swept settings of each run.")
    device_seconds: float | None = Field(
        description="Estimate of all runs together; null where nothing tells."
    )
    wall_seconds: float | None = Field(description="With the devices there now.")
    refusal: str = Field(description="Why it cannot start now; empty where it can.")


class MemberOut(Schema):
    """One run of a sweep."""

    id: int
    name: str
    state: str
    values: dict[str, Any] = Field(alias="sweep_values")


class SweepOut(Schema):
    """A sweep and its runs."""

    id: int
    project: str
    name: str
    method: Method
    axes: list[dict[str, Any]]
    source: int | None = Field(description="The run it was started from.")
    created_by: str | None
    created: datetime
    runs: list[MemberOut]

    @staticmethod
    def resolve_project(sweep: Sweep) -> str:
        """Name the project by its slug."""
        return sweep.project.slug

    @staticmethod
    def resolve_source(sweep: Sweep) -> int | None:
        """Give the id."""
        return sweep.source_id

    @staticmethod
    def resolve_created_by(sweep: Sweep) -> str | None:
        """Name the person."""
        return sweep.created_by.username if sweep.created_by else None

    @staticmethod
    def resolve_runs(sweep: Sweep) -> list[Any]:
        """List the members in the order they were planned."""
        return sorted(sweep.runs.all(), key=lambda run: run.pk)


class SweepPage(PageOf):
    """Sweeps, newest first."""

    items: list[SweepOut]


class SweepFilter(Body):
    """Which sweeps to list."""

    project: str = Field(default="", description="Slug of a project.")


def visible_sweeps(request: ApiRequest) -> QuerySet[Sweep]:
    """Return the sweeps the caller may see, with all an answer shows."""
    found = sweeps.sweeps_visible_to(request.user)
    return found.select_related("project", "created_by").prefetch_related("runs")


@starting.post(
    "/{int:run_id}/sweep", response={201: SweepOut}, summary="Sweep from a run"
)
def start_sweep(request: ApiRequest, run_id: int, payload: SweepIn) -> HttpResponse:
    """Queue runs like this one with some settings varied: all of them, or none."""
    run = find_writable(request, run_id)

    def act() -> SweepOut:
        made = sweeps.start_sweep(
            run=run,
            actor=request.user,
            axes=payload.axes,
            method=payload.method,
            number=payload.number,
            seed=payload.seed,
            name=payload.name,
        )
        return SweepOut.from_orm(visible_sweeps(request).get(pk=made.pk))

    return once(request, act)


@starting.post(
    "/{int:run_id}/sweep/preview", response=PreviewOut, summary="Preview a sweep"
)
def preview_sweep(request: ApiRequest, run_id: int, payload: SweepIn) -> HttpResponse:
    """Say what a sweep would do; nothing is stored."""
    run = find_writable(request, run_id)

    def act() -> PreviewOut:
        preview = sweeps.preview_sweep(
            run,
            request.user,
            payload.axes,
            method=payload.method,
            number=payload.number,
            seed=payload.seed,
        )
        return PreviewOut(
            num_runs=len(preview.members),
            values=[member.values for member in preview.members],
            device_seconds=preview.cost.device_s,
            wall_seconds=preview.cost.wall_s,
            refusal=preview.refusal,
        )

    return once(request, act, status=200)


@router.get("", response=SweepPage, summary="List sweeps")
def list_sweeps(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    chosen: Annotated[SweepFilter, Query()],
) -> Page:
    """List the sweeps you may see, newest first."""
    rows = visible_sweeps(request)
    if chosen.project:
        rows = rows.filter(project=get_project(request.user, chosen.project))
    return page(rows, cursor=cursor, limit=limit)


@router.get("/{int:sweep_id}", response=SweepOut, summary="Get a sweep")
def get_sweep(request: ApiRequest, sweep_id: int) -> Sweep:
    """Get one sweep with its runs."""
    return find(visible_sweeps(request), sweep_id)


@router.post("/{int:sweep_id}/cancel", response=SweepOut, summary="Cancel a sweep")
def cancel_sweep(request: ApiRequest, sweep_id: int) -> HttpResponse:
    """Cancel every run of it that is not finished."""
    sweep = find(visible_sweeps(request), sweep_id)
    require_role(request.user, sweep.project, Role.ENGINEER)

    def act() -> SweepOut:
        sweeps.cancel_sweep(sweep, request.user)
        return SweepOut.from_orm(visible_sweeps(request).get(pk=sweep_id))

    return once(request, act, status=200)
