"""The page of what a project's runs have cost."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from trivium.http import SignedInRequest
from trivium.planning import queries, spending
from trivium.projects.queries import get_project


@login_required
@require_safe
def show_costs(request: SignedInRequest, slug: str) -> HttpResponse:
    """Show what runs have cost: all of them, by person, and the dearest."""
    project = get_project(request.user, slug)
    context = {
        "project": project,
        "defaults": queries.defaults_of(project),
        "spent": spending.spent_by_project(project),
        "people": spending.spent_by_person(project),
        "runs": spending.dearest_runs(project),
    }
    return render(request, "planning/costs.html", context)
