"""`/api/v1/pipelines`: runs and campaigns that follow from each other."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from trivium.accounts.models import User
from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import once
from trivium.api.pagination import MAX_PK, Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.models.models import LanguageModel
from trivium.pipelines import rounds, services
from trivium.pipelines.description import feeders, read_description
from trivium.pipelines.models import Pipeline, Step
from trivium.pipelines.queries import (
    get_step,
    pipelines_visible_to,
    require_reader,
    sees_answerers,
)
from trivium.pipelines.states import StepState, state_of_pipeline, states_of
from trivium.pipelines.telling import figures_of
from trivium.pipelines.writing import as_yaml, described_step
from trivium.pipelines.yaml_text import MAX_BYTES
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role

router = Router()

ANSWERED = ("answerers", "samplings")
"""Settings of a campaign that labelers are not told."""


class FigureOut(Schema):
    """A number by which a step is judged."""

    label: str
    value: float
    beside: str = Field(description="What to hold it against, in words.")


class StepOut(Schema):
    """A step."""

    name: str
    kind: str = Field(description="A kind of run, or `campaign`.")
    state: str = Field(description="A state of runs, or `labeling`.")
    reason: str = Field(description="Why it failed, or what it waits for.")
    advice: str
    waits_for: list[str] = Field(description="Steps it takes something from, or needs.")
    settings: dict[str, Any] = Field(description="As a description has them.")
    run_id: int | None = Field(description="Its run; of a campaign, the export.")
    campaign_id: int | None
    fraction: float = Field(description="Progress of its run, 0 to 1.")
    eta_s: float | None
    figures: list[FigureOut]


class PipelineRow(Schema):
    """A pipeline of the list."""

    id: int
    project: str
    name: str
    state: str = Field(description="A state of runs, or `labeling`.")
    round: int = Field(description="Of the preference loop; 1 where there is none.")
    previous: int | None = Field(description="The pipeline this round follows.")
    num_steps: int
    num_succeeded: int
    created_by: str | None
    created: datetime
    cancelled: datetime | None


class PipelineOut(PipelineRow):
    """A pipeline with its steps."""

    steps: list[StepOut]


class PipelinePage(PageOf):
    """Pipelines, newest first."""

    items: list[PipelineRow]


class YamlOut(Schema):
    """A pipeline as text."""

    yaml: str


class PipelineIn(Body):
    """A pipeline to make: `yaml` or `description`."""

    project: str = Field(description="Slug of the project.")
    yaml: str = Field("", max_length=MAX_BYTES, description="The description as YAML.")
    description: dict[str, Any] | None = Field(
        None, description="The same as JSON: `name` and `steps`."
    )


class StepChanges(Body):
    """Settings to change; null takes the default again."""

    changes: dict[str, Any]


class RoundIn(Body):
    """Which new model is compared."""

    model: int | None = Field(
        None, ge=1, le=MAX_PK, description="An aligned model of it; null: the newest."
    )


class PipelineFilter(Body):
    """Which pipelines to list."""

    project: str = Field(default="", description="Slug of a project.")


def row_of(pipeline: Pipeline, states: dict[str, StepState]) -> dict[str, Any]:
    """Return what the list shows of a pipeline."""
    return {
        "id": pipeline.pk,
        "project": pipeline.project.slug,
        "name": pipeline.name,
        "state": state_of_pipeline(pipeline, states),
        "round": pipeline.round,
        "previous": pipeline.previous_id,
        "num_steps": len(states),
        "num_succeeded": sum(one.state == "succeeded" for one in states.values()),
        "created_by": pipeline.created_by.username if pipeline.created_by else None,
        "created": pipeline.created,
        "cancelled": pipeline.cancelled,
    }


def detail(pipeline: Pipeline, user: User) -> PipelineOut:
    """Return a pipeline as it now is, and as far as a person may know it."""
    steps = list(pipeline.steps.all())
    states = states_of(steps)
    hides = () if sees_answerers(user, pipeline.project) else ANSWERED
    return PipelineOut(
        **row_of(pipeline, states),
        steps=[
            step_out(pipeline, step, states[step.name], hides=hides) for step in steps
        ],
    )


def step_out(
    pipeline: Pipeline, step: Step, state: StepState, *, hides: Collection[str]
) -> StepOut:
    """Return a step as it now is."""
    described = described_step(pipeline, step)
    run = step.run if step.is_started else None
    return StepOut(
        name=step.name,
        kind=step.kind,
        state=state.state,
        reason=state.reason,
        advice=state.advice,
        waits_for=feeders(step.kind, step.settings, step.needs),
        settings={name: described[name] for name in step.settings if name not in hides},
        run_id=run.pk if run else None,
        campaign_id=step.campaign_id,
        fraction=state.run.fraction if state.run else 0.0,
        eta_s=state.run.eta_s if state.run else None,
        figures=[FigureOut(**one._asdict()) for one in figures_of(run)],
    )


def find_writable(request: ApiRequest, pipeline_id: int) -> Pipeline:
    """Return a pipeline the caller may act on; 404 for strangers, 403 for low roles."""
    found = find(pipelines_visible_to(request.user), pipeline_id)
    require_role(request.user, found.project, Role.ENGINEER)
    return found


def answer(request: ApiRequest, pipeline_id: int) -> PipelineOut:
    """Return the pipeline as it now is."""
    found = pipelines_visible_to(request.user).get(pk=pipeline_id)
    return detail(found, request.user)


@router.get("", response=PipelinePage, summary="List pipelines")
def list_pipelines(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    chosen: Annotated[PipelineFilter, Query()],
) -> Page:
    """List the pipelines you may see, newest first."""
    rows = pipelines_visible_to(request.user)
    if chosen.project:
        rows = rows.filter(project=get_project(request.user, chosen.project))
    found = page(rows, cursor=cursor, limit=limit)
    items = [
        PipelineRow(**row_of(one, states_of(list(one.steps.all()))))
        for one in found.items
    ]
    return Page(items, found.next_cursor)


@router.post("", response={201: PipelineOut}, summary="Make a pipeline")
def create_pipeline(request: ApiRequest, payload: PipelineIn) -> HttpResponse:
    """Make a pipeline and start what can be started: all of it, or nothing."""
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)
    if bool(payload.yaml.strip()) == (payload.description is not None):
        raise ApiError(422, "give either yaml or description", field="yaml")

    def act() -> PipelineOut:
        made = services.create_pipeline(
            project=project,
            created_by=request.user,
            description=read_description(payload.description or payload.yaml),
            text=payload.yaml,
        )
        return answer(request, made.pk)

    return once(request, act)


@router.get("/{int:pipeline_id}", response=PipelineOut, summary="Get a pipeline")
def get_pipeline(request: ApiRequest, pipeline_id: int) -> PipelineOut:
    """Get one pipeline with its steps."""
    found = find(pipelines_visible_to(request.user), pipeline_id)
    return detail(found, request.user)


@router.get("/{int:pipeline_id}/yaml", response=YamlOut, summary="Get it as YAML")
def get_yaml(request: ApiRequest, pipeline_id: int) -> YamlOut:
    """Get the description a pipeline could be made from again, edits included."""
    found = find(pipelines_visible_to(request.user), pipeline_id)
    require_reader(request.user, found.project)
    return YamlOut(yaml=as_yaml(found))


@router.post(
    "/{int:pipeline_id}/steps/{str:step_name}/retry",
    response=PipelineOut,
    summary="Try a step again",
)
def retry_step(request: ApiRequest, pipeline_id: int, step_name: str) -> HttpResponse:
    """Try a failed or cancelled step again; what it held goes on by itself."""
    step = get_step(find_writable(request, pipeline_id), step_name)

    def act() -> PipelineOut:
        services.retry_step(step, actor=request.user)
        return answer(request, pipeline_id)

    return once(request, act, status=200)


@router.patch(
    "/{int:pipeline_id}/steps/{str:step_name}",
    response=PipelineOut,
    summary="Edit a step",
)
def edit_step(
    request: ApiRequest, pipeline_id: int, step_name: str, payload: StepChanges
) -> PipelineOut:
    """Change settings of a step that failed or has not begun, and go on with them."""
    step = get_step(find_writable(request, pipeline_id), step_name)
    services.edit_step(step, actor=request.user, changes=payload.changes)
    return answer(request, pipeline_id)


@router.post(
    "/{int:pipeline_id}/round", response={201: PipelineOut}, summary="Next round"
)
def start_round(
    request: ApiRequest, pipeline_id: int, payload: RoundIn
) -> HttpResponse:
    """Make the next round of the preference loop, a pipeline of its own.

    People choose between the newest aligned model and the one before; then the same
    alignment steps learn from the choices of all rounds.
    """
    found = find_writable(request, pipeline_id)

    def act() -> PipelineOut:
        policy = None
        if payload.model is not None:
            models = LanguageModel.objects.filter(project=found.project)
            policy = find(models.select_related("project", "run"), payload.model)
        made = rounds.start_next_round(found, actor=request.user, policy=policy)
        return answer(request, made.pk)

    return once(request, act)


@router.post(
    "/{int:pipeline_id}/cancel", response=PipelineOut, summary="Cancel a pipeline"
)
def cancel_pipeline(request: ApiRequest, pipeline_id: int) -> HttpResponse:
    """Cancel its runs, pause its campaigns, and start no further step."""
    found = find_writable(request, pipeline_id)

    def act() -> PipelineOut:
        services.cancel_pipeline(found, actor=request.user)
        return answer(request, pipeline_id)

    return once(request, act, status=200)


@router.delete("/{int:pipeline_id}", response={204: None}, summary="Delete a pipeline")
def delete_pipeline(request: ApiRequest, pipeline_id: int) -> Status[None]:
    """Forget a finished or cancelled pipeline; its runs and models stay."""
    services.delete_pipeline(find_writable(request, pipeline_id))
    return Status(204, None)
