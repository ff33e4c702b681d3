"""Pages of sweeps: planning one from a run, the list, and one with its members."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)
from django.views.decorators.vary import vary_on_headers

from trivium.http import HTMX_STOP_POLLING, SignedInRequest, add_form_error
from trivium.paging import newest_first
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.runs import compare, sweep_plot, sweeps, watching
from trivium.runs.differences import label_in_words
from trivium.runs.errors import SubmitError
from trivium.runs.forms_sweep import SweepForm
from trivium.runs.models import Run, Sweep
from trivium.runs.sweep_plan import MAX_MEMBERS
from trivium.runs.views import CHARTS_POLICY, find_run

MAX_SHOWN = 12
"""Members a preview names."""


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sweep_run(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Plan a sweep around a run; a POST with `preview` only says what it would do."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    if run.kind not in sweeps.SWEPT:
        raise Http404("a run of this kind has nothing to sweep")
    form = SweepForm(run, request.POST or None)
    wants_preview = "preview" in request.POST
    if request.method == "POST" and form.is_valid() and not wants_preview:
        try:
            sweep = sweeps.start_sweep(
                run=run,
                actor=request.user,
                name=form.cleaned_data["name"],
                **form.plan,
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            number = sweep.runs.count()
            plural = "" if number == 1 else "s"
            messages.success(request, f"{number} run{plural} queued.")
            return redirect("runs:sweep-detail", slug, sweep.pk)
    context = {
        "project": run.project,
        "run": run,
        "form": form,
        "preview": preview_of(run, request, form),
        "most": MAX_MEMBERS,
        "num_shown": MAX_SHOWN,
    }
    template = "runs/sweep_new.html"
    if request.htmx and wants_preview:
        template += "#preview"
    return render(request, template, context)


def preview_of(
    run: Run, request: SignedInRequest, form: SweepForm
) -> sweeps.Preview | None:
    """Return what the form's values would do; None while they are not valid."""
    if not form.is_bound or not form.is_valid() or not form.cleaned_data["axes"]:
        return None
    try:
        return sweeps.preview_sweep(run, request.user, **form.plan)
    except SubmitError as error:
        if not form.non_field_errors():
            add_form_error(form, error)
        return None


@login_required
@require_safe
def list_sweeps(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's sweeps, newest first."""
    project = get_project(request.user, slug)
    paged = newest_first(request, sweeps.sweeps_of(project))
    context = {
        "project": project,
        "sweeps": [(sweep, axes_of(sweep)) for sweep in paged],
        "paged": paged,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    return render(request, "runs/sweep_list.html", context)


def axes_of(sweep: Sweep) -> list[str]:
    """Return the axes of a sweep in words."""
    kind = sweep.source.kind if sweep.source else Run.Kind.PRETRAIN
    return sweeps.axes_in_words(sweep, kind)


@login_required
@require_safe
@vary_on_headers("HX-Request")
def sweep_detail(request: SignedInRequest, slug: str, sweep_id: int) -> HttpResponse:
    """Show a sweep: members, the metric `?metric=` over each setting, their curves."""
    project = get_project(request.user, slug)
    sweep = find_sweep(project, sweep_id)
    runs = list(
        watching.runs_for_pages(project)
        .filter(sweep=sweep)
        .order_by("pk")[:MAX_MEMBERS]
    )
    asked = request.GET.get("metric", "")
    sort = request.GET.get("sort", "")
    comparison = compare.compare_runs(runs, sort=sort)
    chosen = ",".join(str(run.pk) for run in runs[: compare.MAX_COMPARED])
    page = reverse("runs:sweep-detail", args=[slug, sweep.pk])
    is_moving = any(not run.is_finished for run in runs)
    context = {
        "project": project,
        "sweep": sweep,
        "axes": axes_of(sweep),
        "comparison": comparison,
        "sort": sort,
        "page": f"{page}?metric={asked}" if asked else f"{page}?",
        "is_moving": is_moving,
        "poll": request.get_full_path(),
        "compare_url": f"{reverse('runs:compare', args=[slug])}?runs={chosen}",
        "data_url": f"{reverse('runs:compare-data', args=[slug])}?runs={chosen}",
        "num_drawn": min(len(runs), compare.MAX_COMPARED),
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    } | outcome_of(sweep, comparison, asked)
    template = "runs/sweep_detail.html"
    if request.htmx and not request.htmx.boosted:
        status = 200 if is_moving else HTMX_STOP_POLLING
        return render(request, f"{template}#members", context, status=status)
    response = render(request, template, context)
    response["Content-Security-Policy"] = CHARTS_POLICY
    return response


def find_sweep(project: Project, sweep_id: int) -> Sweep:
    """Return a sweep of a project; Http404 where it has none of that number."""
    sweep = sweeps.sweeps_of(project).filter(pk=sweep_id).first()
    if sweep is None:
        raise Http404("no such sweep")
    return sweep


def outcome_of(
    sweep: Sweep, comparison: compare.Comparison, asked: str
) -> dict[str, Any]:
    """Return the metric looked at, the run that is best by it, and its plots."""
    columns = comparison.columns
    column = next((one for one in columns if one.name == asked), None)
    column = column or next((one for one in columns if one.better), None)
    if column is None:
        return {"metric": None, "best": None, "plots": []}
    place = columns.index(column)
    figures = {line.run.pk: line.figures[place] for line in comparison.lines}
    values = {
        pk: figure.value for pk, figure in figures.items() if figure.value is not None
    }
    best = next(
        (line for line in comparison.lines if figures[line.run.pk].is_best), None
    )
    members = sorted((line.run for line in comparison.lines), key=lambda run: run.pk)
    plots = [
        sweep_plot.plot_metric(
            setting,
            label_in_words(members[0].kind, setting),
            column.title,
            members,
            values,
            better=column.better,
            best=figures[best.run.pk].value if best else None,
        )
        for setting in sweep.settings
    ]
    return {
        "metric": column,
        "best": best,
        "best_value": figures[best.run.pk].value if best else None,
        "plots": [plot for plot in plots if plot is not None],
    }


@login_required
@require_POST
def cancel_sweep(request: SignedInRequest, slug: str, sweep_id: int) -> HttpResponse:
    """Cancel every member that is not finished."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    sweep = find_sweep(project, sweep_id)
    number = sweeps.cancel_sweep(sweep, request.user)
    if number:
        plural = "" if number == 1 else "s"
        messages.success(request, f"Cancelling {number} run{plural}.")
    else:
        messages.warning(request, "All its runs are finished already.")
    return redirect("runs:sweep-detail", slug, sweep.pk)
