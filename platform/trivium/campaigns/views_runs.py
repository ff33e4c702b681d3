"""Judges and exports: the runs that read a campaign."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from trivium.campaigns.access import engineers_seat
from trivium.campaigns.forms_runs import ExportForm, JudgeForm
from trivium.campaigns.refreshing import report_for
from trivium.campaigns.tabs import render_tab
from trivium.http import SignedInRequest, add_form_error
from trivium.playground.views_compare import groups_of, offered_in
from trivium.runs.errors import SubmitError
from trivium.runs.kinds import start_run
from trivium.runs.models import Run

MAX_RUNS = 50


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def judges(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show what models said of the comparisons, and have another one judge."""
    seat = engineers_seat(request.user, slug, pk)
    offered = offered_in(request, seat.project, [])
    form = JudgeForm(request.POST or None, offered=groups_of(offered))
    if request.method == "POST" and form.is_valid():
        try:
            start_run(
                project=seat.project,
                created_by=request.user,
                spec=form.spec(seat.campaign),
                name=seat.campaign.name,
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, "The judge is queued.")
            return redirect("campaigns:judges", slug, pk)
    shown = report_for(seat.campaign)
    values = shown.values.get("judges", {})
    found = seat.campaign.judges.select_related("run").order_by("-pk")[:MAX_RUNS]
    context: dict[str, Any] = {
        "shown": shown,
        "form": form,
        "num_offered": len(offered),
        "rows": [(one, values.get(str(one.pk))) for one in found],
    }
    status = 422 if form.errors else 200
    return render_tab(request, seat, "judges", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def export(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Queue the export of a campaign's votes; list those made before."""
    seat = engineers_seat(request.user, slug, pk)
    form = ExportForm(request.POST or None, campaign=seat.campaign)
    if request.method == "POST" and form.is_valid():
        try:
            run = start_run(
                project=seat.project,
                created_by=request.user,
                spec=form.spec(seat.campaign),
                name=form.cleaned_data["name"],
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, f"The export to {run.name} is queued.")
            return redirect("campaigns:export", slug, pk)
    past = Run.objects.filter(
        project=seat.project, kind=Run.Kind.EXPORT, spec__campaign=str(seat.campaign.pk)
    )
    context = {
        "form": form,
        "runs": past.select_related("dataset_version__dataset", "created_by").order_by(
            "-pk"
        )[:MAX_RUNS],
    }
    status = 422 if form.errors else 200
    return render_tab(request, seat, "export", context, status=status)
