"""Models and datasets of an evaluation, as pages name them."""

from dataclasses import dataclass

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
    """Return the models; before anything is measured, as the run's spec has them."""
    facts = evaluation.facts
    told = facts.get("models") or [
        {"id": one, "title": one.partition("/")[2] or one}
        for one in (evaluation.run.spec.get("models", ()) if evaluation.run else ())
    ]
    names = [str(one["id"]).partition("/")[2] for one in told]
    rows = LanguageModel.objects.filter(project=evaluation.project, name__in=names)
    models = {f"{evaluation.project.slug}/{one.name}": one for one in rows}
    baseline = facts.get("baseline", -1)
    return [
        Column(
            place=place,
            id=one["id"],
            title=one["title"],
            stage=model.stage if (model := models.get(one["id"])) else "",
            stage_label=model.get_stage_display() if model else "",
            model_pk=model.pk if model else None,
            is_baseline=place == baseline,
            writes=one.get("writes", False),
            failed=one.get("failed", 0),
        )
        for place, one in enumerate(told)
    ]


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
