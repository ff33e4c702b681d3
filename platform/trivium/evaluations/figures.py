"""The one number to know of a model, from the newest evaluation that tells of it."""

from typing import NamedTuple

from django.urls import reverse

from trivium.evaluations.models import Evaluation
from trivium.evaluations.results import telling
from trivium.models.models import LanguageModel
from trivium.pages.templatetags.numbers import percent
from trivium.projects.models import Project
from trivium.serving.choices import of_model

LOOKED_AT = 20
"""Newest evaluations that are looked through."""


class Figure(NamedTuple):
    """One number, what it says, and where it comes from."""

    text: str
    words: str
    url: str


def newest_of(project: Project) -> list[Evaluation]:
    """Return the newest evaluations that are ready."""
    return list(project.evaluations.exclude(facts={}).order_by("-pk")[:LOOKED_AT])


def figure_of(model: LanguageModel, evaluations: list[Evaluation]) -> Figure | None:
    """Return a model's figure; of a reward model its own training tells one too."""
    choice_id = of_model(model).id
    for evaluation in evaluations:
        told = telling(evaluation, choice_id)
        if told is not None:
            args = [model.project.slug, evaluation.pk]
            return Figure(*told, reverse("evaluations:detail", args=args))
    return figure_of_training(model)


def figure_of_training(model: LanguageModel) -> Figure | None:
    """Return how well a reward model told held-out pairs apart in training."""
    run = model.run
    if run is None or model.stage != LanguageModel.Stage.REWARD:
        return None
    preference = run.result.get("preference")
    if not preference:
        return None
    length = preference["by_length"]
    words = f"pairs told apart (pick the {length['picks']}: {percent(length['value'])})"
    url = reverse("runs:detail", args=[model.project.slug, run.pk])
    return Figure(percent(preference["accuracy"]["value"]), words, url)
