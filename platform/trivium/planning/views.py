"""The planner's page: a question in the address, its answer beside it."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from trivium.http import SignedInRequest
from trivium.planning import queries, services
from trivium.planning.asking import asked_from
from trivium.planning.devices import AS_OF, Device
from trivium.planning.drawing import draw_frontier
from trivium.planning.forms import EXAMPLE, DefaultsForm, PlanForm
from trivium.planning.formulas import PlanError
from trivium.planning.making import Plan, make_plan
from trivium.planning.models import PlanningDefaults
from trivium.planning.wording import assumptions
from trivium.projects.models import Role
from trivium.projects.queries import get_project, has_role, require_role


@login_required
@require_safe
def show_plan(request: SignedInRequest, slug: str) -> HttpResponse:
    """Answer what the address asks; without a question, an example."""
    project = get_project(request.user, slug)
    defaults = queries.defaults_of(project)
    table = queries.device_table()
    form = PlanForm(request.GET or EXAMPLE, defaults=defaults, table=table)
    plan = answer(form, defaults, table)
    context: dict[str, Any] = {
        "project": project,
        "form": form,
        "plan": plan,
        "currency": defaults.currency,
        "more": [form[name] for name in form.FACTORS],
        "shape": [form[name] for name in form.SHAPE],
        "is_more_open": any(
            request.GET.get(name) for name in (*form.FACTORS, *form.SHAPE)
        ),
        "is_admin": has_role(request.user, project, Role.ADMIN),
    }
    if plan is not None:
        context["assumptions"] = assumptions(plan, defaults)
        context["drawing"] = draw_frontier(plan)
    # htmx swaps in no refusals; without it the status says what the page does.
    status = 422 if plan is None and not request.htmx else 200
    return render(request, "planning/plan.html", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_factors(request: SignedInRequest, slug: str) -> HttpResponse:
    """Set the prices and factors a project plans with."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ADMIN)
    defaults = queries.defaults_of(project)
    table = queries.device_table()
    if request.method == "POST" and "reset" in request.POST:
        services.reset_defaults(project=project)
        messages.success(request, "Plans use the built-in prices and factors again.")
        return redirect("planning:factors", slug)
    form = DefaultsForm(request.POST or None, defaults=defaults, table=table)
    if request.method == "POST" and form.is_valid():
        services.update_defaults(
            project=project, updated_by=request.user, **form.values()
        )
        messages.success(request, "The prices and factors were saved.")
        return redirect("planning:plan", slug)
    context = {
        "project": project,
        "form": form,
        "defaults": defaults,
        "as_of": AS_OF,
    }
    status = 422 if form.errors else 200
    return render(request, "planning/factors.html", context, status=status)


def answer(
    form: PlanForm, defaults: PlanningDefaults, table: Mapping[str, Device]
) -> Plan | None:
    """Return the plan a form asks for; None, with the form saying why, if none."""
    if not form.is_valid():
        return None
    try:
        return make_plan(asked_from(form.values(), defaults=defaults, table=table))
    except PlanError as error:
        text = f"{str(error)[:1].upper()}{str(error)[1:]}."
        form.add_error(error.field if error.field in form.fields else None, text)
        return None
