"""Anything of a project, found by its name."""

from typing import NamedTuple

from django.db.models import Model, QuerySet
from django.urls import reverse

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign
from trivium.campaigns.queries import campaigns_listed_for
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.runs.queries import hide_preflights
from trivium.tokenizers.models import Tokenizer

MAX_EACH = 8
ICONS = {
    "campaigns": "label",
    "datasets": "data",
    "evaluations": "evaluate",
    "pipelines": "flow",
}
"""Of nouns whose icon has another name."""


class Found(NamedTuple):
    """One thing found."""

    label: str
    note: str
    url: str


class Group(NamedTuple):
    """What was found of one noun; `has_more` says that not all of it is there."""

    title: str
    icon: str
    items: list[Found]
    has_more: bool
    url: str
    """The list page, narrowed the same way."""


def find_by_name(
    user: User, project: Project, text: str, *, most: int = MAX_EACH
) -> list[Group]:
    """Return what a person may see of a project whose name holds `text`, by noun."""
    if not text:
        return []
    sources: list[tuple[str, str, QuerySet[Model]]] = [
        ("Data", "datasets", project.datasets.all()),
        ("Tokenizers", "tokenizers", project.tokenizers.all()),
        ("Models", "models", project.models.all()),
        ("Runs", "runs", hide_preflights(project.runs.all())),
        ("Evaluations", "evaluations", project.evaluations.all()),
        ("Pipelines", "pipelines", project.pipelines.all()),
        ("Campaigns", "campaigns", campaigns_listed_for(user, project)),
    ]
    groups = []
    for title, noun, rows in sources:
        items = list(rows.filter(name__icontains=text).order_by("-pk")[: most + 1])
        if items:
            found = [_found(project, noun, item) for item in items[:most]]
            icon = ICONS.get(noun, noun)
            url = reverse(f"{noun}:list", args=[project.slug])
            groups.append(Group(title, icon, found, len(items) > most, url))
    return groups


def _found(project: Project, noun: str, item: Model) -> Found:
    url = reverse(f"{noun}:detail", args=[project.slug, item.pk])
    return Found(str(item), _note(item), url)


def _note(item: Model) -> str:
    match item:
        case Tokenizer():
            return item.algorithm
        case LanguageModel():
            return item.get_stage_display()
        case Run():
            return f"#{item.pk} {item.get_state_display()}"
        case Campaign():
            return item.get_state_display()
    return ""
