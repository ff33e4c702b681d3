"""`/api/v1/runs`: everything long is a run."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field
from runspec import RunSpec

from trivium.api.auth import ApiRequest
from trivium.api.idempotency import once
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs import again, kinds, queries, services
from trivium.runs.models import Run

router = Router()

AnySpec = Annotated[RunSpec, Field(discriminator="kind")]
State = Literal[
    "waiting",
    "queued",
    "running",
    "pausing",
    "paused",
    "succeeded",
    "failed",
    "cancelled",
]
KindName = Literal[
    "ingest",
    "tokenizer",
    "pretrain",
    "sft",
    "dpo",
    "reward",
    "rlhf",
    "preflight",
    "import",
    "generate",
    "judge",
    "export",
]


class OutputOut(Schema):
    """The object a run makes; its `id` may be used in specs before it is ready."""

    noun: Literal["dataset", "tokenizer", "model"]
    id: int
    name: str
    is_ready: bool


class RunOut(Schema):
    """A run."""

    id: int
    project: str
    kind: KindName
    name: str
    state: State
    desired_state: str = Field(description="`pause` or `cancel` where one was asked.")
    priority: int
    queue: str
    num_devices: int
    waits_for: list[int] = Field(description="Runs that must succeed first.")
    created_by: str | None
    worker: str | None
    attempt: int = Field(description="Number of the newest attempt; 0 before any.")
    step: int
    total_steps: int
    unit: str
    phase: str
    fraction: float = Field(description="Progress, 0 to 1.")
    tokens: int
    tokens_per_s: float | None
    eta_s: float | None
    reason: str = Field(description="Why it failed, was paused or waits.")
    advice: str
    error_class: str
    result: dict[str, Any]
    output: OutputOut | None
    version: int = Field(description="Grows with every change.")
    created: datetime
    started: datetime | None
    ended: datetime | None
    spec: dict[str, Any]

    @staticmethod
    def resolve_project(run: Run) -> str:
        """Name the project by its slug."""
        return run.project.slug

    @staticmethod
    def resolve_created_by(run: Run) -> str | None:
        """Name the person."""
        return run.created_by.username if run.created_by else None

    @staticmethod
    def resolve_worker(run: Run) -> str | None:
        """Name the worker."""
        return run.worker.name if run.worker else None

    @staticmethod
    def resolve_attempt(run: Run) -> int:
        """Call the fence what a person calls it."""
        return run.fence

    @staticmethod
    def resolve_waits_for(run: Run) -> list[int]:
        """List unfinished dependencies."""
        return [
            other.pk
            for other in run.depends_on.all()
            if other.state != Run.State.SUCCEEDED
        ]

    @staticmethod
    def resolve_output(run: Run) -> dict[str, Any] | None:
        """Find what the run makes."""
        for noun, attribute in OUTPUTS.items():
            made = getattr(run, attribute, None)
            if made is not None:
                return {
                    "noun": noun,
                    "id": made.pk,
                    "name": str(made),
                    "is_ready": made.is_ready,
                }
        return None


OUTPUTS = {"dataset": "dataset_version", "tokenizer": "tokenizer", "model": "model"}


class RunPage(PageOf):
    """Runs, newest first."""

    items: list[RunOut]


class RunIn(Body):
    """A run to queue."""

    project: str = Field(description="Slug of the project.")
    spec: AnySpec
    name: str = Field(
        default="", max_length=200, description="Names what the run makes."
    )
    priority: int = Field(default=0, ge=-100, le=100)


class RunFilter(Body):
    """Which runs to list."""

    project: str = Field(default="", description="Slug of a project.")
    state: State | None = None
    kind: KindName | None = None
    q: str = Field(default="", max_length=200, description="Part of the name.")


class RetryIn(Body):
    """What to change when trying again."""

    changes: dict[str, Any] = {}


class PriorityIn(Body):
    """A new place in the queue."""

    priority: int = Field(ge=-100, le=100)


def visible_runs(request: ApiRequest) -> QuerySet[Run]:
    """Return the runs the caller may see, with all an answer shows."""
    return (
        queries.runs_visible_to(request.user)
        .select_related(
            "project",
            "created_by",
            "worker",
            "tokenizer",
            "model",
            "dataset_version__dataset",
        )
        .prefetch_related("depends_on")
    )


def find_writable(request: ApiRequest, run_id: int) -> Run:
    """Return a run the caller may act on; 404 for strangers, 403 for low roles."""
    run = find(visible_runs(request), run_id)
    require_role(request.user, run.project, Role.ENGINEER)
    return run


def answer(request: ApiRequest, run_id: int) -> RunOut:
    """Return the run as it now is."""
    return RunOut.from_orm(visible_runs(request).get(pk=run_id))


@router.get("", response=RunPage, summary="List runs")
def list_runs(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    chosen: Annotated[RunFilter, Query()],
) -> Page:
    """List the runs you may see, newest first.

    Preflights are left out unless `kind` asks for them.
    """
    rows = visible_runs(request)
    if chosen.project:
        rows = rows.filter(project=get_project(request.user, chosen.project))
    if chosen.state:
        rows = rows.filter(state=chosen.state)
    rows = queries.hide_preflights(rows, kind=chosen.kind)
    if chosen.kind:
        rows = rows.filter(kind=chosen.kind)
    if chosen.q:
        rows = rows.filter(name__icontains=chosen.q)
    return page(rows, cursor=cursor, limit=limit)


def submit(request: ApiRequest, payload: RunIn) -> HttpResponse:
    """Queue a run, once per idempotency key."""
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)

    def act() -> RunOut:
        run = kinds.start_run(
            project=project,
            created_by=request.user,
            spec=payload.spec,
            name=payload.name,
            priority=payload.priority,
        )
        return answer(request, run.pk)

    return once(request, act)


@router.post("", response={201: RunOut}, summary="Queue a run")
def create_run(request: ApiRequest, payload: RunIn) -> HttpResponse:
    """Queue a run of any kind; ids in its spec may be of objects not yet ready."""
    return submit(request, payload)


@router.get("/{int:run_id}", response=RunOut, summary="Get a run")
def get_run(request: ApiRequest, run_id: int) -> Run:
    """Get one run."""
    return find(visible_runs(request), run_id)


@router.post("/{int:run_id}/cancel", response=RunOut, summary="Cancel a run")
def cancel_run(request: ApiRequest, run_id: int) -> HttpResponse:
    """End it for good; a worker that has it stops within seconds."""
    run = find_writable(request, run_id)

    def act() -> RunOut:
        services.request_cancel(run, request.user)
        return answer(request, run_id)

    return once(request, act, status=200)


@router.post("/{int:run_id}/pause", response=RunOut, summary="Pause a run")
def pause_run(request: ApiRequest, run_id: int) -> HttpResponse:
    """Save a checkpoint and give its devices back, until it is resumed."""
    run = find_writable(request, run_id)

    def act() -> RunOut:
        services.request_pause(run, request.user)
        return answer(request, run_id)

    return once(request, act, status=200)


@router.post("/{int:run_id}/resume", response=RunOut, summary="Resume a run")
def resume_run(request: ApiRequest, run_id: int) -> HttpResponse:
    """Queue a paused run again; it goes on from its last checkpoint."""
    run = find_writable(request, run_id)

    def act() -> RunOut:
        services.resume_run(run, request.user)
        return answer(request, run_id)

    return once(request, act, status=200)


@router.post("/{int:run_id}/retry", response={201: RunOut}, summary="Try again")
def retry_run(request: ApiRequest, run_id: int, payload: RetryIn) -> HttpResponse:
    """Queue a new run like a failed or cancelled one, with some settings changed."""
    run = find_writable(request, run_id)

    def act() -> RunOut:
        new = kinds.retry_run(run=run, actor=request.user, changes=payload.changes)
        return answer(request, new.pk)

    return once(request, act)


@router.post("/{int:run_id}/again", response={201: RunOut}, summary="Run again")
def run_again(request: ApiRequest, run_id: int) -> HttpResponse:
    """Queue a new run with the same settings, whatever became of this one."""
    run = find_writable(request, run_id)

    def act() -> RunOut:
        return answer(request, again.run_again(run=run, actor=request.user).pk)

    return once(request, act)


@router.post("/{int:run_id}/priority", response=RunOut, summary="Change priority")
def change_priority(
    request: ApiRequest, run_id: int, payload: PriorityIn
) -> HttpResponse:
    """Move a run up or down the queue."""
    run = find_writable(request, run_id)

    def act() -> RunOut:
        services.change_priority(run, request.user, payload.priority)
        return answer(request, run_id)

    return once(request, act, status=200)
