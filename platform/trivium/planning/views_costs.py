"""The page of what a project's runs have cost, and of its budget."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from trivium.http import SignedInRequest
from trivium.planning import budgets, queries, spending
from trivium.planning.forms import BudgetForm
from trivium.planning.quantities import plain_quantity
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role


@login_required
@require_safe
def show_costs(request: SignedInRequest, slug: str) -> HttpResponse:
    """Show what runs have cost: all of them, by person, and the dearest."""
    project = get_project(request.user, slug)
    context = costs_context(request, project)
    return render(request, "planning/costs.html", context)


@login_required
@require_POST
def set_budget(request: SignedInRequest, slug: str) -> HttpResponse:
    """Set, or remove, what a project may spend."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ADMIN)
    if "remove" in request.POST:
        budgets.remove_budget(project=project, actor=request.user)
        messages.success(request, "The budget was removed.")
        return redirect("planning:costs", slug)
    form = BudgetForm(request.POST)
    if not form.is_valid():
        context = costs_context(request, project) | {"form": form}
        return render(request, "planning/costs.html", context, status=422)
    budget = budgets.set_budget(
        project=project, actor=request.user, **form.cleaned_data
    )
    if budget.is_spent:
        messages.warning(
            request, "The budget was saved. More is spent already: no run starts."
        )
    else:
        messages.success(request, "The budget was saved.")
    return redirect("planning:costs", slug)


def costs_context(request: SignedInRequest, project: Project) -> dict[str, Any]:
    """Return what the page shows."""
    defaults = queries.defaults_of(project)
    spent = spending.spent_by_project(project)
    budget = budgets.budget_of(project)
    context: dict[str, Any] = {
        "project": project,
        "defaults": defaults,
        "spent": spent,
        "people": spending.spent_by_person(project),
        "runs": spending.dearest_runs(project),
        "is_admin": has_role(request.user, project, Role.ADMIN),
        "budget": budget,
        "form": BudgetForm(),
    }
    if budget is not None:
        used = budgets.counted(spent, budget.unit)
        unit, currency = budget.unit, spent.currency
        context |= {
            "form": BudgetForm(
                initial={"amount": plain_quantity(budget.amount), "unit": unit}
            ),
            "allowed": budgets.in_words(budget.amount, unit, currency),
            "used": budgets.in_words(used, unit, currency),
            "used_percent": min(100.0, 100 * used / budget.amount),
        }
    return context
