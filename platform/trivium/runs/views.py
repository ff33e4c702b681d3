"""Pages of runs: the list, and one run."""

import csv
import io
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from trivium.http import (
    CONTENT_SECURITY_POLICY,
    HTMX_STOP_POLLING,
    SignedInRequest,
    as_id,
)
from trivium.paging import filters_of, newest_first
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.runs import queries, watching
from trivium.runs.forms import RunFilter
from trivium.runs.models import Run
from trivium.runs.retrying import RetryForm

MAX_EXPORTED = 10_000
MAX_COUNTED = 99
MAX_POLLED = 100
EXPORTED = (
    "id", "name", "kind", "state", "priority", "step", "total_steps", "unit",
    "created_by", "created", "started", "ended", "reason",
)  # fmt: skip
CHARTS_POLICY = CONTENT_SECURITY_POLICY.replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
"""Bokeh styles its shadow roots by `<style>` elements; it needs no inline script."""


def find_run(
    request: SignedInRequest, slug: str, run_id: int, *, least: Role = Role.VIEWER
) -> Run:
    """Return a run of a project the person has at least role `least` in.

    Raises:
        Http404: there is no such run for this person.
        PermissionDenied: the role is too low.
    """
    project = get_project(request.user, slug)
    run = watching.runs_for_pages(project).filter(pk=run_id).first()
    if run is None:
        raise Http404("no such run")
    require_role(request.user, project, least)
    return run


def filtered(project: Project, form: RunFilter) -> QuerySet[Run]:
    """Return a project's runs as the address asks for them; what is wrong is left."""
    runs = watching.runs_for_pages(project)
    form.full_clean()
    chosen = form.cleaned_data
    if chosen.get("state"):
        runs = runs.filter(state=chosen["state"])
    runs = queries.hide_preflights(runs, kind=chosen.get("kind"))
    if chosen.get("kind"):
        runs = runs.filter(kind=chosen["kind"])
    if chosen.get("q"):
        runs = runs.filter(name__icontains=chosen["q"])
    return runs


@login_required
@require_safe
@vary_on_headers("HX-Request")
def list_runs(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's runs, newest first: `?state= &kind= &q= &before= &after=`."""
    project = get_project(request.user, slug)
    form = RunFilter(request.GET)
    runs = filtered(project, form)
    paged = newest_first(request, runs)
    context = {
        "project": project,
        "form": form,
        "rows": [watching.Row(run, watching.actions_for(run)) for run in paged],
        "is_filtered": any(form.cleaned_data.values()) or bool(form.errors),
        "paged": paged,
        "is_moving": any(not run.is_finished for run in paged),
        "export": filters_of(request),
        "can_edit": has_role(request.user, project, Role.ENGINEER),
        "has_any": bool(paged) or project.runs.exists(),
    }
    template = "runs/list.html"
    if request.htmx and not request.htmx.boosted:
        template += "#results"
    return render(request, template, context)


@login_required
@require_safe
def changed_rows(request: SignedInRequest, slug: str) -> HttpResponse:
    """Answer rows that changed since `?seen=id.version,…`; 286 when all are finished.

    On the first page `?newest=` is the newest id shown: later runs are announced.
    """
    project = get_project(request.user, slug)
    seen: dict[int, str] = {}
    for part in request.GET.get("seen", "").split(",")[:MAX_POLLED]:
        pk, _, version = part.partition(".")
        if (run_id := as_id(pk)) is not None:
            seen[run_id] = version
    runs = list(watching.runs_for_pages(project).filter(pk__in=seen))
    newest = as_id(request.GET.get("newest", ""))
    num_new = 0
    if newest is not None:
        later = queries.hide_preflights(project.runs.filter(pk__gt=newest))
        num_new = later.values("pk")[: MAX_COUNTED + 1].count()
    context = {
        "project": project,
        "rows": [
            watching.Row(run, watching.actions_for(run))
            for run in runs
            if str(run.version) != seen[run.pk]
        ],
        "num_new": num_new,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    is_moving = any(not run.is_finished for run in runs)
    status = 200 if is_moving else HTMX_STOP_POLLING
    return render(request, "runs/list.html#changes", context, status=status)


@login_required
@require_safe
def export_runs(request: SignedInRequest, slug: str) -> HttpResponse:
    """Give the filtered list as a file: `?format=csv` or `json`."""
    project = get_project(request.user, slug)
    runs = filtered(project, RunFilter(request.GET)).order_by("-pk")[:MAX_EXPORTED]
    rows = [exported(run) for run in runs]
    name = f"{project.slug}-runs"
    if request.GET.get("format") == "json":
        response: HttpResponse = JsonResponse({"runs": rows})
        response["Content-Disposition"] = f'attachment; filename="{name}.json"'
        return response
    text = io.StringIO()
    writer = csv.DictWriter(text, EXPORTED)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: inert(value) for key, value in row.items()})
    response = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def exported(run: Run) -> dict[str, Any]:
    """Return what a file holds of one run."""
    values: dict[str, Any] = {key: getattr(run, key) for key in EXPORTED}
    values["created_by"] = run.created_by.username if run.created_by else ""
    for key in ("created", "started", "ended"):
        values[key] = values[key].isoformat() if values[key] else ""
    return values


def inert(value: Any) -> Any:
    """Keep a spreadsheet from taking someone's text for a formula."""
    is_formula = isinstance(value, str) and value[:1] in tuple("=+-@\t\r")
    return f"'{value}" if is_formula else value


@login_required
@require_safe
@vary_on_headers("HX-Request")
def run_detail(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Show one run; `?tab=` chooses what of it, and htmx asks for the tab alone."""
    run = find_run(request, slug, run_id)
    tab = watching.chosen_tab(run, request.GET.get("tab", ""))
    can_edit = has_role(request.user, run.project, Role.ENGINEER)
    context = watching.header_context(run, can_edit=can_edit)
    attempt = as_id(request.GET.get("attempt", ""))
    context |= watching.tab_context(run, tab, attempt=attempt)
    context |= {
        "tabs": tabs(run, tab),
        "tab": tab,
        "is_told_below": watching.is_told_on_tab(run, tab),
        "tab_template": f"runs/tabs/{tab}.html",
        "cursor": first_cursor(run, context),
    }
    if context["can_retry"]:
        context["retry_form"] = RetryForm(run)
    template = "runs/detail.html"
    if request.htmx and request.htmx.target == "tab":
        template += "#tab"
    response = render(request, template, context)
    if tab == "charts":
        response["Content-Security-Policy"] = CHARTS_POLICY
    return response


def first_cursor(run: Run, context: dict[str, Any]) -> str:
    """Return what the page already shows, as the stream's cursor."""
    log = context.get("log")
    is_newest = log is not None and context["log_attempt"] == run.fence
    place = f"{run.fence}.{log.next_offset}" if log and is_newest else "0.0"
    return f"{watching.shown_version(run)}.-1.-1.{place}"


def tabs(run: Run, chosen: str) -> list[dict[str, Any]]:
    """Return the tabs of a run's page, with how much each holds."""
    url = reverse("runs:detail", args=[run.project.slug, run.pk])
    counts = watching.counts(run)
    return [
        {
            "name": name,
            "label": label,
            "url": f"{url}?tab={name}",
            "is_current": name == chosen,
            "count": counts.get(name),
        }
        for name, label in watching.tabs_of(run).items()
    ]
