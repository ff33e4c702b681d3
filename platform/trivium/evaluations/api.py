"""`/api/v1/evaluations`: what came of training, for programs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field
from runspec import EvaluateSpec
from runspec.evaluate import MAX_DATASETS, MAX_MODELS, MAX_ROWS
from runspec.serving import Sampling

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import once
from trivium.api.pagination import MAX_PK, Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.evaluations import queries
from trivium.evaluations.lineage import good_defaults
from trivium.evaluations.models import Evaluation
from trivium.evaluations.results import measures_of, sentences_of
from trivium.models.models import LanguageModel
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.api import RunOut, answer
from trivium.runs.kinds import start_run

router = Router()

Identifier = Annotated[str, Field(min_length=1, max_length=400)]
SHORT = 64
"""Tokens of an answer, where a caller says nothing of sampling."""


class EvaluationRow(Schema):
    """An evaluation of the list."""

    id: int
    project: str
    name: str
    run_id: int | None
    is_ready: bool
    created_by: str | None
    created: datetime

    @staticmethod
    def resolve_project(evaluation: Evaluation) -> str:
        """Name the project by its slug."""
        return evaluation.project.slug

    @staticmethod
    def resolve_created_by(evaluation: Evaluation) -> str | None:
        """Name the person."""
        return evaluation.created_by.username if evaluation.created_by else None


class EvaluationPage(PageOf):
    """Evaluations, newest first."""

    items: list[EvaluationRow]


class MeasuredModel(Schema):
    """One model that was measured; measures name it by its place."""

    id: str
    title: str
    writes: bool = Field(description="Whether it answers with text.")
    failed: int = Field(description="Rows nothing came of.")


class EvaluationOut(EvaluationRow):
    """What came of it; empty until its run has ended."""

    models: list[MeasuredModel]
    baseline: int | None = Field(description="Place of the model compared with.")
    judge: str
    datasets: list[dict[str, Any]]
    measures: list[dict[str, Any]] = Field(
        description="Value, interval and `n` of each, difference to the baseline and "
        "`outcome`; docs/evaluations.md says what each one is."
    )
    sentences: list[str] = Field(description="The same in words.")
    notes: list[str]

    @staticmethod
    def resolve_models(evaluation: Evaluation) -> list[dict[str, Any]]:
        """List them in their order."""
        return list(evaluation.facts.get("models", ()))

    @staticmethod
    def resolve_baseline(evaluation: Evaluation) -> int | None:
        """Say which one is compared with."""
        found: int | None = evaluation.facts.get("baseline")
        return found

    @staticmethod
    def resolve_judge(evaluation: Evaluation) -> str:
        """Name the reward model, if there was one."""
        return str(evaluation.facts.get("judge", ""))

    @staticmethod
    def resolve_datasets(evaluation: Evaluation) -> list[dict[str, Any]]:
        """Say what was measured on."""
        return list(evaluation.facts.get("datasets", ()))

    @staticmethod
    def resolve_measures(evaluation: Evaluation) -> list[dict[str, Any]]:
        """List every measure."""
        return [
            one.model_dump(mode="json") | {"outcome": one.outcome}
            for one in measures_of(evaluation)
        ]

    @staticmethod
    def resolve_sentences(evaluation: Evaluation) -> list[str]:
        """Tell what came of it."""
        return sentences_of(evaluation) if evaluation.is_ready else []

    @staticmethod
    def resolve_notes(evaluation: Evaluation) -> list[str]:
        """Say what a reader should know."""
        return list(evaluation.facts.get("notes", ()))


class AnsweredOut(Schema):
    """One row with the answers of all models, in their order."""

    dataset: int
    number: int
    prompt: list[dict[str, Any]]
    expected: str
    subject: str
    answers: list[dict[str, Any] | None] = Field(
        description="Null: the model writes no text."
    )


class AnsweredPage(PageOf):
    """Answered rows, last first."""

    items: list[AnsweredOut]


class EvaluationFilter(Body):
    """Which evaluations to list."""

    project: str = Field(default="", description="Slug of a project.")


class AnsweredFilter(Body):
    """Which rows to list."""

    show: Literal["", "differ", "wrong"] = Field(
        "", description="Rows on which models differ, or on which one is wrong."
    )


class EvaluationIn(Body):
    """An evaluation to make; what is left out is chosen as the page's form would."""

    project: str = Field(description="Slug of the project.")
    name: str = Field("", max_length=200, description="Empty: the models' names.")
    model: int | None = Field(
        None,
        ge=1,
        le=MAX_PK,
        description="Begin with this model and those it came from; null: the newest.",
    )
    models: list[Identifier] | None = Field(
        None,
        min_length=1,
        max_length=MAX_MODELS,
        description="Ids of models, checkpoints or models of endpoints, in order.",
    )
    datasets: list[Annotated[int, Field(ge=1, le=MAX_PK)]] | None = Field(
        None, min_length=1, max_length=MAX_DATASETS, description="Versions."
    )
    baseline: Identifier | None = Field(None, description="One of the models.")
    truth: Literal["none", "tinyworld"] | None = None
    judge: Identifier | None = Field(None, description="A reward model.")
    rows: Literal["auto", "validation", "all"] = "auto"
    max_rows: int = Field(200, ge=1, le=MAX_ROWS)
    sampling: Sampling = Sampling(temperature=0, max_tokens=SHORT)
    seed: int = Field(0, ge=0, lt=2**63)


@router.get("", response=EvaluationPage, summary="List evaluations")
def list_evaluations(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    chosen: Annotated[EvaluationFilter, Query()],
) -> Page:
    """List the evaluations you may see, newest first."""
    rows = queries.evaluations_visible_to(request.user)
    if chosen.project:
        rows = rows.filter(project=get_project(request.user, chosen.project))
    return page(rows, cursor=cursor, limit=limit)


@router.post("", response={201: RunOut}, summary="Make an evaluation")
def create_evaluation(request: ApiRequest, payload: EvaluationIn) -> HttpResponse:
    """Queue the run that measures; its output is the evaluation."""
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)
    spec = spec_of(project, payload)

    def act() -> RunOut:
        run = start_run(
            project=project, created_by=request.user, spec=spec, name=payload.name
        )
        return answer(request, run.pk)

    return once(request, act)


@router.get("/{int:evaluation_id}", response=EvaluationOut, summary="Get an evaluation")
def get_evaluation(request: ApiRequest, evaluation_id: int) -> Evaluation:
    """Get what was measured."""
    return find(queries.evaluations_visible_to(request.user), evaluation_id)


@router.get(
    "/{int:evaluation_id}/answers", response=AnsweredPage, summary="List its answers"
)
def list_answers(
    request: ApiRequest,
    evaluation_id: int,
    cursor: Cursor,
    limit: Limit,
    chosen: Annotated[AnsweredFilter, Query()],
) -> Page:
    """List rows with all their answers, last first."""
    evaluation = find(queries.evaluations_visible_to(request.user), evaluation_id)
    rows = queries.rows_of(evaluation, show=chosen.show)
    return page(rows, cursor=cursor, limit=limit)


def spec_of(project: Project, payload: EvaluationIn) -> EvaluateSpec:
    """Return what a run shall do, the defaults filled in.

    Raises:
        ApiError: there is nothing to measure, or nothing to measure on.
    """
    model = None
    if payload.model is not None:
        models = LanguageModel.objects.filter(project=project).exclude(path="")
        model = models.select_related("project").filter(pk=payload.model).first()
        if model is None:
            raise ApiError(
                422, f"this project has no model {payload.model}", field="model"
            )
    found = good_defaults(project, model)
    line = [found[name] for name in sorted(found) if name.startswith("model_")]
    chosen = payload.models or line
    datasets = [str(one) for one in payload.datasets or ()] or found["datasets"]
    for field, values in (("models", chosen), ("datasets", datasets)):
        if not values:
            raise ApiError(422, f"there are no {field} yet: name some", field=field)
    baseline = payload.baseline
    if baseline is None and not payload.models:
        baseline = line[int(found["baseline"]) - 1]
    given: dict[str, Any] = {
        "models": tuple(chosen),
        "datasets": tuple(datasets),
        "baseline": baseline,
        "truth": payload.truth or ("none" if payload.datasets else found["truth"]),
        "judge": payload.judge,
        "rows": payload.rows,
        "max_rows": payload.max_rows,
        "sampling": payload.sampling,
        "seed": payload.seed,
    }
    return EvaluateSpec(**given)
