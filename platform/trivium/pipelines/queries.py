"""Reads of pipelines, scoped to who asks."""

from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404

from trivium.accounts.models import User
from trivium.pipelines.models import Pipeline, Step
from trivium.projects.models import Project, Role
from trivium.projects.queries import projects_visible_to, role_in

MAX_PK = 2**63


def pipelines_visible_to(user: User) -> QuerySet[Pipeline]:
    """Return the pipelines of the projects `user` may see, with their steps."""
    steps = Step.objects.select_related(
        "run__evaluation", "campaign", "pipeline__project"
    )
    return (
        Pipeline.objects.filter(project__in=projects_visible_to(user).order_by())
        .select_related("project", "created_by")
        .prefetch_related(Prefetch("steps", steps))
    )


def get_pipeline(user: User, project: Project, pk: int) -> Pipeline:
    """Return one pipeline of a project.

    Raises:
        Http404: there is none of that number.
    """
    found = None
    if pk < MAX_PK:
        found = pipelines_visible_to(user).filter(project=project, pk=pk).first()
    if found is None:
        raise Http404("no such pipeline")
    return found


def sees_answerers(user: User, project: Project) -> bool:
    """Whether a person may know which models answer in a campaign, and how it goes.

    It would sway those who label.
    """
    return role_in(user, project) != Role.LABELER


def require_reader(user: User, project: Project) -> None:
    """Raise PermissionDenied for those who label."""
    if not sees_answerers(user, project):
        raise PermissionDenied(
            "Labelers do not see which models answer: it would sway their votes."
        )


def get_step(pipeline: Pipeline, name: str) -> Step:
    """Return one step of a pipeline.

    Raises:
        Http404: it has none of that name.
    """
    for step in pipeline.steps.all():
        if step.name == name:
            return step
    raise Http404("no such step")
