"""The objects a run reads and the one it makes, as pages name them."""

from typing import Any, NamedTuple

from django.urls import reverse
from runspec import parse_spec

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


class Relative(NamedTuple):
    """An object or run that this run came from, or that comes from it."""

    noun: str
    name: str
    url: str


def inputs_of(run: Run) -> list[Relative]:
    """Return the objects a run's spec refers to, as far as they are still there."""
    try:
        referred = parse_spec(run.spec).referred()
    except ValueError:  # of a version that knew other settings
        return []
    return [
        relative_item
        for noun, ids in referred.values()
        for one in ids
        if (relative_item := relative_of(run.project, noun, one)) is not None
    ]


def relative_of(project: Project, noun: str, raw: str) -> Relative | None:
    """Return the object a reference means, if it is still there."""
    if noun == "choice":
        return relative_choice(project, raw)
    if not raw.isdecimal():
        return None
    if noun == "dataset":
        version = (
            DatasetVersion.objects.select_related("dataset")
            .filter(pk=raw, dataset__project=project)
            .first()
        )
        return relative_dataset(project, version) if version is not None else None
    models: dict[str, type[Tokenizer | LanguageModel]] = {
        "tokenizer": Tokenizer,
        "model": LanguageModel,
    }
    if noun not in models:
        return None
    item = models[noun]._default_manager.filter(pk=raw, project=project).first()  # noqa: SLF001
    return relative(project, noun, item) if item is not None else None


def relative_choice(project: Project, choice_id: str) -> Relative | None:
    """Return the model of the project that a choice means, if it means one."""
    owner, _, name = choice_id.partition("/")
    models = LanguageModel.objects.filter(project=project, name=name)
    item = models.first() if owner == project.slug else None
    return relative(project, "model", item) if item is not None else None


def output_of(run: Run) -> Relative | None:
    """Return the object a run makes."""
    version = DatasetVersion.objects.select_related("dataset").filter(run=run).first()
    if version is not None:
        return relative_dataset(run.project, version)
    for noun in ("tokenizer", "model", "evaluation"):
        made = getattr(run, noun, None)
        if made is not None:
            return relative(run.project, noun, made)
    return None


def relative_dataset(project: Project, version: DatasetVersion) -> Relative:
    """Return a dataset version with its address."""
    url = reverse("datasets:detail", args=[project.slug, version.dataset_id])
    return Relative("dataset", str(version), f"{url}?v={version.number}")


def relative(project: Project, noun: str, made: Any) -> Relative:
    """Return a tokenizer, a model or an evaluation with its address."""
    url = reverse(f"{noun}s:detail", args=[project.slug, made.pk])
    return Relative(noun, str(made), url)
