"""The page that shows runs beside each other, and the points its charts fetch."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from trivium.http import SignedInRequest, as_id
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role
from trivium.runs import compare, watching
from trivium.runs.models import Run
from trivium.runs.views import CHARTS_POLICY


@login_required
@require_safe
def compare_runs(request: SignedInRequest, slug: str) -> HttpResponse:
    """Show the runs of `?runs=1,2,3`; `?sort=` orders the table."""
    project = get_project(request.user, slug)
    asked = request.GET.get("runs", "")
    runs, num_asked = chosen_runs(project, asked)
    sort = request.GET.get("sort", "")
    chosen = ",".join(str(run.pk) for run in runs)
    page = reverse("runs:compare", args=[slug])
    context = {
        "project": project,
        "comparison": compare.compare_runs(runs, sort=sort),
        "chosen": chosen,
        "sort": sort,
        "page": f"{page}?runs={chosen}",
        "data_url": f"{reverse('runs:compare-data', args=[slug])}?runs={chosen}",
        "num_missing": num_asked - len(runs),
        "most": compare.MAX_COMPARED,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    response = render(request, "runs/compare.html", context)
    response["Content-Security-Policy"] = CHARTS_POLICY
    return response


@login_required
@require_safe
def compare_data(request: SignedInRequest, slug: str) -> HttpResponse:
    """Give the charts of `?runs=`, or with `?name=` and `?x=` the points of one."""
    project = get_project(request.user, slug)
    runs, _ = chosen_runs(project, request.GET.get("runs", ""))
    name, x = request.GET.get("name", ""), request.GET.get("x", "steps")
    if not name or "\0" in name:
        return JsonResponse(compare.overview(runs))
    if x not in compare.X_CHOICES:
        x = "steps"
    return JsonResponse({"name": name, "curves": compare.points(runs, name, x=x)})


@login_required
@require_POST
def choose_runs(request: SignedInRequest, slug: str) -> HttpResponse:
    """Go to the comparison of the runs chosen in a list."""
    project = get_project(request.user, slug)
    chosen = [pk for pk in request.POST.getlist("run") if as_id(pk) is not None]
    if not chosen:
        messages.warning(request, "No run was chosen.")
        return redirect("runs:list", project.slug)
    page = reverse("runs:compare", args=[project.slug])
    return redirect(f"{page}?runs={','.join(chosen[: compare.MAX_COMPARED])}")


def chosen_runs(project: Project, asked: str) -> tuple[list[Run], int]:
    """Return the runs an address names, in its order, and how many it named."""
    ids = list(dict.fromkeys(part.strip() for part in asked.split(",") if part.strip()))
    wanted = [as_id(part) for part in ids[: compare.MAX_COMPARED]]
    found = watching.runs_for_pages(project).in_bulk(
        [pk for pk in wanted if pk is not None]
    )
    return [found[pk] for pk in wanted if pk in found], len(ids)
