"""Reads of datasets, scoped to who asks."""

from django.db.models import (
    CharField,
    Count,
    Exists,
    OuterRef,
    Prefetch,
    QuerySet,
    Subquery,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from runspec import parse_spec

from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to
from trivium.runs.models import Run

MAX_NAMED = 5


def datasets_visible_to(user: User) -> QuerySet[Dataset]:
    """Return the datasets of the projects `user` may see."""
    return Dataset.objects.filter(project__in=projects_visible_to(user).order_by())


def uploads_visible_to(user: User) -> QuerySet[Upload]:
    """Return the uploads of the projects `user` may see."""
    return Upload.objects.filter(project__in=projects_visible_to(user).order_by())


def unused_uploads(project: Project) -> QuerySet[Upload]:
    """Return what was sent to a project and no run reads, newest first."""
    source = Cast(OuterRef("pk"), CharField())
    runs = Run.objects.filter(project=project)
    sources = runs.annotate(source=KeyTextTransform("source", "spec"))
    return (
        Upload.objects.filter(project=project)
        .exclude(Exists(sources.filter(source=source)))
        .order_by("-pk")
    )


def source_of(version: DatasetVersion) -> Upload | None:
    """Return what the run of a version was to read, if it is still kept."""
    source = str(version.run.spec.get("source", "")) if version.run else ""
    if not source.isdecimal():
        return None
    project = version.dataset.project_id
    return Upload.objects.filter(project=project, pk=int(source)).first()


def datasets_with_newest(project: Project) -> QuerySet[Dataset]:
    """Return a project's datasets, newest first, with `num_versions` and `newest`.

    `newest` is a list that holds the newest version alone.
    """
    newest = (
        DatasetVersion.objects.filter(dataset=OuterRef("dataset"))
        .order_by("-number")
        .values("pk")[:1]
    )
    return (
        Dataset.objects.filter(project=project)
        .annotate(num_versions=Count("versions"))
        .prefetch_related(
            Prefetch(
                "versions",
                queryset=DatasetVersion.objects.filter(
                    pk=Subquery(newest)
                ).select_related("run"),
                to_attr="newest",
            )
        )
        .order_by("-pk")
    )


def _refers_to(run: Run, version: DatasetVersion) -> bool:
    """Whether a run reads a version, alone or among others."""
    try:
        referred = parse_spec(run.spec).referred().values()
    except ValueError:  # of a version that knew other settings
        return False
    return any(noun == "dataset" and str(version.pk) in ids for noun, ids in referred)


def what_uses(version: DatasetVersion) -> list[str]:
    """Name what forbids to delete `version`: a few tokenizers, models and runs."""
    users = [f"tokenizer {item}" for item in version.tokenizers.all()[:MAX_NAMED]]
    users += [f"model {item}" for item in version.models.all()[:MAX_NAMED]]
    unfinished = version.dataset.project.runs.exclude(state__in=Run.TERMINAL)
    waiting = [run for run in unfinished if _refers_to(run, version)]
    users += [f"run {run}" for run in waiting[:MAX_NAMED]]
    if version.run is not None and not version.run.is_finished:
        users.append(f"run {version.run}")
    return users
