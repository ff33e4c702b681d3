"""Base, instruct, aligned: the models that came before one, and what to ask them."""

from typing import Any

from runspec.evaluate import EVALUATED

from trivium.datasets.models import Dataset, DatasetVersion
from trivium.datasets.preview import read_rows
from trivium.evaluations.truth import asks_of_tiny_world
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.serving.choices import of_model

MOST_MODELS = 4
PROBED = 20
"""Rows looked at to see what they ask about."""
REWARD = LanguageModel.Stage.REWARD


def line_of(model: LanguageModel) -> list[LanguageModel]:
    """Return the models a model came from, the base first, itself last.

    Reward models stand beside the line, not in it.
    """
    line = [model]
    while len(line) < MOST_MODELS:
        parents = line[0].parents.exclude(stage=REWARD).exclude(path="")
        parent = parents.select_related("project", "run").order_by("pk").first()
        if parent is None or parent in line:
            break
        line.insert(0, parent)
    return line


def newest_line(project: Project) -> list[LanguageModel]:
    """Return the line of the newest model that was taught the most."""
    models = LanguageModel.objects.filter(project=project).exclude(path="")
    for stage in ("aligned", "instruct", "base"):
        found = models.filter(stage=stage).select_related("project", "run")
        if (newest := found.order_by("-pk").first()) is not None:
            return line_of(newest)
    return []


def good_defaults(project: Project, model: LanguageModel | None) -> dict[str, Any]:
    """Return what an evaluation of a model, and of those before it, begins with."""
    line = line_of(model) if model is not None else newest_line(project)
    if model is not None and model.stage == REWARD:
        line = [model]
    datasets = _datasets_for(project, line)
    is_world = any(map(is_tiny_world, datasets))
    judge = (
        ""
        if is_world or (model is not None and model.stage == REWARD)
        else _judge_of(project)
    )
    # Alignment is measured against the model it started from.
    baseline = next((at for at, one in enumerate(line) if one.stage == "instruct"), 0)
    values: dict[str, Any] = {
        f"model_{at + 1}": of_model(one).id for at, one in enumerate(line)
    }
    return values | {
        "baseline": str(baseline + 1),
        "datasets": [str(one.pk) for one in datasets],
        "truth": "tinyworld" if is_world else "none",
        "judge": judge,
    }


def _datasets_for(project: Project, line: list[LanguageModel]) -> list[DatasetVersion]:
    """Return the newest prompts, then what the first two models learnt from.

    Of those only held-out rows are asked. A reward model is measured on its pairs.
    """
    ready = DatasetVersion.objects.filter(dataset__project=project).exclude(path="")
    ready = ready.select_related("dataset").order_by("-pk")
    found: list[DatasetVersion] = []
    if [one.stage for one in line] != [REWARD]:
        prompts = ready.filter(dataset__kind=Dataset.Kind.PROMPTS)
        worldly = [one for one in prompts[:PROBED] if is_tiny_world(one)]
        # Prompts to evaluate on are those brought in last.
        found += (worldly or list(prompts[:1]))[:1]
    learnt = [one.dataset_id for one in line if one.dataset_id is not None]
    found += [
        one
        for one in ready.filter(pk__in=learnt, dataset__kind__in=EVALUATED)
        if one not in found and _belongs(one, line)
    ]
    return found[:3]


def _belongs(version: DatasetVersion, line: list[LanguageModel]) -> bool:
    is_pairs = version.dataset.kind == Dataset.Kind.PREFERENCES
    return is_pairs == ([one.stage for one in line] == [REWARD])


def _judge_of(project: Project) -> str:
    models = LanguageModel.objects.filter(project=project, stage=REWARD)
    newest = models.exclude(path="").select_related("project").order_by("-pk").first()
    return of_model(newest).id if newest is not None else ""


def is_tiny_world(version: DatasetVersion) -> bool:
    """Whether the first prompts of a dataset ask about Tiny World."""
    if version.dataset.kind != Dataset.Kind.PROMPTS:
        return False
    split = next(iter(version.card.get("splits", {})), "")
    try:
        rows, _ = read_rows(version, split, offset=0, limit=PROBED)
    except (KeyError, OSError, ValueError):
        return False
    return any(asks_of_tiny_world(row.get("prompt") or []) for row in rows)
