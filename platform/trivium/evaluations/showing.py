"""Models and datasets of an evaluation, as pages name them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runspec import EvaluateSpec

from trivium.datasets.models import DatasetVersion
from trivium.evaluations.models import Evaluation
from trivium.models.models import LanguageModel


@dataclass(frozen=True)
class Column:
    """One model of an evaluation."""

    place: int
    id: str
    title: str
    stage: str
    stage_label: str
    model_pk: int | None
    """Where it is a model of the project that is still there."""
    is_baseline: bool
    writes: bool
    failed: int
    """Rows nothing came of."""


def columns_of(evaluation: Evaluation) -> list[Column]:
    """Return the models of one evaluation; see `columns_of_all`."""
    return columns_of_all([evaluation])[0]


def columns_of_all(evaluations: Sequence[Evaluation]) -> list[list[Column]]:
    """Return the models of each evaluation, looked up together.

    Before anything is measured, they are as the run's spec has them.
    """
    told = [told_models(one) for one in evaluations]
    names = {str(row["id"]).partition("/")[2] for rows in told for row in rows}
    projects = {one.project_id for one in evaluations}
    found = LanguageModel.objects.filter(project__in=projects, name__in=names)
    models = {
        f"{one.project.slug}/{one.name}": one for one in found.select_related("project")
    }
    return [
        [column(place, row, models, one) for place, row in enumerate(rows)]
        for one, rows in zip(evaluations, told, strict=True)
    ]


def told_models(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return what is written down of an evaluation's models."""
    named = evaluation.run.spec.get("models", ()) if evaluation.run else ()
    return evaluation.facts.get("models") or [
        {"id": one, "title": one.partition("/")[2] or one} for one in named
    ]


def column(
    place: int,
    told: dict[str, Any],
    models: Mapping[str, LanguageModel],
    evaluation: Evaluation,
) -> Column:
    """Return one model, with what the project knows of it now."""
    model = models.get(told["id"])
    return Column(
        place=place,
        id=told["id"],
        title=told["title"],
        stage=model.stage if model else "",
        stage_label=model.get_stage_display() if model else "",
        model_pk=model.pk if model else None,
        is_baseline=place == evaluation.facts.get("baseline", -1),
        writes=told.get("writes", False),
        failed=told.get("failed", 0),
    )


def dataset_names(evaluation: Evaluation) -> list[str]:
    """Return how the datasets are called here; else as their files were."""
    told = [str(one["name"]) for one in evaluation.facts.get("datasets", ())]
    if evaluation.run is None:
        return told
    try:
        spec = EvaluateSpec.model_validate(evaluation.run.spec)
    except ValueError:  # of a version that knew other settings
        return told
    if len(spec.datasets) != len(told):
        return told
    ids = [int(one) for one in spec.datasets]
    found = DatasetVersion.objects.filter(dataset__project=evaluation.project)
    versions = found.select_related("dataset").in_bulk(ids)
    return [
        str(versions[pk]) if pk in versions else name
        for pk, name in zip(ids, told, strict=True)
    ]
