"""Home, a project's picture, search, and the queue in one line."""

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from trivium.http import HTMX_STOP_POLLING, SignedInRequest, searched_name
from trivium.pages.finding import find_by_name
from trivium.pages.pipeline import next_step, pipeline
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, projects_visible_to
from trivium.runs.models import Run
from trivium.runs.queries import hide_preflights

MAX_PROJECTS = 200
MAX_ON_PAGE = 25


@login_required
@require_safe
def home(request: SignedInRequest) -> HttpResponse:
    """Go to the only project, or list them with what runs."""
    projects = list(projects_visible_to(request.user)[:MAX_PROJECTS])
    if len(projects) == 1:
        return redirect("pages:project-home", projects[0].slug)
    unfinished = (
        hide_preflights(Run.objects.filter(project__in=projects))
        .exclude(state__in=Run.TERMINAL)
        .order_by()
        .values_list("project", "state")
        .annotate(Count("pk"))
    )
    rows = []
    for item in projects:
        counts = {state: n for pk, state, n in unfinished if pk == item.pk}
        num_running = sum(counts.get(state, 0) for state in Run.LIVE)
        rows.append((item, num_running, sum(counts.values()) - num_running))
    return render(request, "pages/home.html", {"rows": rows})


@login_required
@require_safe
@vary_on_headers("HX-Request")
def project_home(request: SignedInRequest, slug: str) -> HttpResponse:
    """Show a project's pipeline; htmx asks for the picture while something runs."""
    project = get_project(request.user, slug)
    picture = pipeline(project)
    context = {
        "project": project,
        "pipeline": picture,
        "step": next_step(project, picture),
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    if not request.htmx:
        return render(request, "pages/project_home.html", context)
    status = 200 if picture.is_moving else HTMX_STOP_POLLING
    template = "pages/project_home.html#pipeline"
    return render(request, template, context, status=status)


@login_required
@require_safe
@vary_on_headers("HX-Request")
def search(request: SignedInRequest, slug: str) -> HttpResponse:
    """Find things by name; htmx gets the few that fit below the search box."""
    project = get_project(request.user, slug)
    query = searched_name(request)
    context = {"project": project, "query": query}
    if request.htmx:
        context["groups"] = find_by_name(request.user, project, query)
        return render(request, "pages/search.html#results", context)
    context["groups"] = find_by_name(request.user, project, query, most=MAX_ON_PAGE)
    return render(request, "pages/search.html", context)


@login_required
@require_safe
def queue_line(request: SignedInRequest, slug: str) -> HttpResponse:
    """Give the line in the top bar anew."""
    project: Project = get_project(request.user, slug)
    return render(request, "components/queue_line.html", {"project": project})
