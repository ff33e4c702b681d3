"""Reads of evaluations, scoped to who asks."""

from django.db.models import QuerySet
from django.http import Http404

from trivium.accounts.models import User
from trivium.evaluations.models import EvaluatedRow, Evaluation
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to

SHOWN = {"": "All", "differ": "Where they differ", "wrong": "Where one is wrong"}
"""What can be asked of the answers, and in which words."""


def evaluations_visible_to(user: User) -> QuerySet[Evaluation]:
    """Return the evaluations of the projects `user` may see."""
    return Evaluation.objects.filter(
        project__in=projects_visible_to(user).order_by()
    ).select_related("project", "run", "created_by")


def get_evaluation(user: User, project: Project, pk: int) -> Evaluation:
    """Return one evaluation of a project.

    Raises:
        Http404: there is none of that number.
    """
    found = None
    if pk < 2**63:
        found = evaluations_visible_to(user).filter(project=project, pk=pk).first()
    if found is None:
        raise Http404("no such evaluation")
    return found


def rows_of(
    evaluation: Evaluation, *, show: str = "", dataset: int | None = None
) -> QuerySet[EvaluatedRow]:
    """Return the answered rows of an evaluation, narrowed, in their order."""
    rows = evaluation.rows.order_by("place")
    if show == "differ":
        rows = rows.filter(differs=True)
    if show == "wrong":
        rows = rows.filter(is_wrong=True)
    if dataset is not None:
        rows = rows.filter(dataset=dataset)
    return rows
