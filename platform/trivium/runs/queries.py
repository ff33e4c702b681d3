"""Which runs a person sees, and which a worker may take."""

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Now
from runspec import SPECS

from trivium.accounts.models import User
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to
from trivium.runs.models import Run


def runs_visible_to(user: User) -> QuerySet[Run]:
    """Return the runs of the projects `user` sees."""
    if user.is_staff:
        return Run.objects.all()
    return Run.objects.filter(project__in=projects_visible_to(user))


def hide_preflights(runs: QuerySet[Run], *, kind: str | None = None) -> QuerySet[Run]:
    """Leave out the checks of other runs, which those runs show, unless asked for.

    A preflight no run waits for was started for its own sake, and stays.
    """
    if kind == Run.Kind.PREFLIGHT:
        return runs
    waiting = Run.depends_on.through.objects.filter(to_run_id=OuterRef("pk"))
    return runs.exclude(Q(kind=Run.Kind.PREFLIGHT) & Exists(waiting))


def queued_runs_of(user: User) -> QuerySet[Run]:
    """Return what a person has in the queue; the checks of runs count with those."""
    unfinished = [Run.State.QUEUED, Run.State.WAITING]
    return hide_preflights(Run.objects.filter(created_by=user, state__in=unfinished))


def choices_in_use(project: Project) -> dict[str, Run]:
    """Return the models that unfinished runs will ask, by the ids of `choices`."""
    asking = [kind for kind in SPECS if "choice" in SPECS[kind].references().values()]
    runs = Run.objects.filter(project=project, kind__in=asking)
    found: dict[str, Run] = {}
    for run in runs.exclude(state__in=Run.TERMINAL).order_by("pk"):
        for setting, noun in SPECS[run.kind].references().items():
            value = run.spec.get(setting) if noun == "choice" else None
            for one in value if isinstance(value, list) else [value]:
                found.setdefault(str(one), run)
    return found


def claimable_runs(queues: list[str]) -> QuerySet[Run]:
    """Return queued runs, best first: priority, then whose owner has least running."""
    live_of_owner = (
        Run.objects.filter(created_by=OuterRef("created_by"), state__in=Run.LIVE)
        .order_by()
        .values("created_by")
        .annotate(number=Count("pk"))
        .values("number")
    )
    return (
        Run.objects.filter(state=Run.State.QUEUED, queue__in=queues)
        .filter(Q(not_before=None) | Q(not_before__lte=Now()))
        .exclude(project__budget__is_spent=True)
        .annotate(live_of_owner=Coalesce(Subquery(live_of_owner), Value(0)))
        .order_by("-priority", "live_of_owner", "pk")
    )
