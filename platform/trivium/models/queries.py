"""Reads of the registry of models, scoped to who asks."""

from django.db.models import Q, QuerySet

from trivium.accounts.models import User
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to
from trivium.runs.models import Run
from trivium.runs.queries import choices_in_use

MAX_NAMED = 5


def models_visible_to(user: User) -> QuerySet[LanguageModel]:
    """Return the models of the projects `user` may see."""
    return LanguageModel.objects.filter(
        project__in=projects_visible_to(user).order_by()
    ).select_related("run", "tokenizer", "dataset__dataset")


def families_of(project: Project) -> list[str]:
    """Return the families a project has models of."""
    models = LanguageModel.objects.filter(project=project).exclude(family="")
    return sorted(models.values_list("family", flat=True).distinct())


def narrowed(
    models: QuerySet[LanguageModel], *, q: str = "", **exact: str
) -> QuerySet[LanguageModel]:
    """Return those whose name holds `q`, and whose other fields are as given."""
    models = models.filter(**exact)
    return models.filter(name__icontains=q) if q else models


def what_uses(model: LanguageModel) -> list[str]:
    """Name what forbids to delete `model`: models made of it, and unfinished runs."""
    users = [f"model {item}" for item in model.children.all()[:MAX_NAMED]]
    key = str(model.pk)
    reads = Q(spec__model=key) | Q(spec__base_model=key) | Q(spec__training__model=key)
    waiting = model.project.runs.filter(reads).exclude(state__in=Run.TERMINAL)
    users += [f"run {run}" for run in waiting[:MAX_NAMED]]
    asking = choices_in_use(model.project).get(f"{model.project.slug}/{model.name}")
    users += [f"run {asking}"] if asking else []
    if model.run is not None and not model.run.is_finished:
        users.append(f"run {model.run}")
    return users
