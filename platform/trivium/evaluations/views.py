"""Pages of evaluations: the list, a new one, and what came of it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)
from django.views.decorators.vary import vary_on_headers

from trivium.evaluations import queries
from trivium.evaluations.answers import page_of
from trivium.evaluations.exporting import send_answers, send_measures
from trivium.evaluations.forms import EvaluationForm
from trivium.evaluations.lineage import good_defaults
from trivium.evaluations.models import Evaluation
from trivium.evaluations.results import groups_of, plots_of, sentences_of
from trivium.evaluations.services import delete_evaluation
from trivium.evaluations.showing import columns_of, columns_of_all, dataset_names
from trivium.http import (
    HTMX_STOP_POLLING,
    SignedInRequest,
    add_form_error,
    searched_name,
)
from trivium.models.models import LanguageModel
from trivium.paging import newest_first
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.runs.errors import SubmitError
from trivium.runs.kinds import start_run
from trivium.runs.models import Run
from trivium.serving.choices import checkpoint_choices, choices_of

MAX_RUNS = 6
"""Newest runs whose checkpoints are offered: each is looked up on the disk."""


@login_required
@require_safe
def list_evaluations(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's evaluations, newest first; `?q=` narrows by name."""
    project = get_project(request.user, slug)
    search = searched_name(request)
    found = queries.evaluations_visible_to(request.user).filter(project=project)
    if search:
        found = found.filter(name__icontains=search)
    paged = newest_first(request, found)
    context = {
        "project": project,
        "search": search,
        "rows": [
            (one, columns, sentences_of(one))
            for one, columns in zip(paged, columns_of_all(paged.rows), strict=True)
        ],
        "paged": paged,
        "has_model": LanguageModel.objects.filter(project=project)
        .exclude(path="")
        .exists(),
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    return render(request, "evaluations/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_evaluation(request: SignedInRequest, slug: str) -> HttpResponse:
    """Ask what to measure; `?model=` begins with a model and those it came from."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    form = EvaluationForm(
        request.POST or None,
        project=project,
        offered=offered_in(request, project),
        initial=good_defaults(project, named_model(request, project)),
    )
    if request.method == "POST" and form.is_valid():
        try:
            run = start_run(
                project=project,
                created_by=request.user,
                spec=form.spec(),
                name=form.cleaned_data["name"],
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, "The evaluation is queued.")
            made = Evaluation.objects.get(run=run)
            return redirect("evaluations:detail", slug, made.pk)
    context = {"project": project, "form": form}
    status = 422 if form.errors else 200
    return render(request, "evaluations/new.html", context, status=status)


def offered_in(request: SignedInRequest, project: Project) -> list[Any]:
    """Return what can be measured: models, endpoints, newest runs' checkpoints."""
    runs = Run.objects.filter(project=project, checkpoints__isnull=False)
    found = choices_of(request.user, project)
    for run in runs.distinct().order_by("-pk")[:MAX_RUNS]:
        found += checkpoint_choices(run)
    return found


def named_model(request: SignedInRequest, project: Project) -> LanguageModel | None:
    """Return the model an address names; None where it names none."""
    text = request.GET.get("model", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        return None
    models = LanguageModel.objects.filter(project=project).exclude(path="")
    return models.select_related("project", "run").filter(pk=int(text)).first()


@login_required
@require_safe
@vary_on_headers("HX-Request")
def evaluation_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show what came of it; htmx asks for the answers, or how far it is."""
    project = get_project(request.user, slug)
    evaluation = queries.get_evaluation(request.user, project, pk)
    context: dict[str, Any] = {
        "project": project,
        "evaluation": evaluation,
        "columns": columns_of(evaluation),
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    template = "evaluations/detail.html"
    if not evaluation.is_ready:
        return render(request, template + ("#waiting" if request.htmx else ""), context)
    if request.htmx and request.htmx.target == "waiting":
        # It is done: the page as a whole has changed.
        response = HttpResponse(status=HTMX_STOP_POLLING)
        response["HX-Refresh"] = "true"
        return response
    names = dataset_names(evaluation)
    context |= page_of(evaluation, request.GET, names, context["columns"])
    if request.htmx:
        return render(request, f"{template}#answers", context)
    context |= {
        "groups": groups_of(evaluation, names),
        "plots": plots_of(evaluation, names),
        "sentences": sentences_of(evaluation),
    }
    return render(request, template, context)


@login_required
@require_safe
def export_evaluation(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Give measures or answers as a file: `?part= &format=csv|json`."""
    project = get_project(request.user, slug)
    evaluation = queries.get_evaluation(request.user, project, pk)
    if not evaluation.is_ready:
        raise Http404("nothing was measured yet")
    form = "json" if request.GET.get("format") == "json" else "csv"
    if request.GET.get("part") == "answers":
        return send_answers(evaluation, form)
    return send_measures(evaluation, form)


@login_required
@require_POST
def delete(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Delete an evaluation that is over."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    evaluation = queries.get_evaluation(request.user, project, pk)
    try:
        delete_evaluation(evaluation)
    except SubmitError as error:
        messages.error(request, f"{error}.")
        return redirect("evaluations:detail", slug, pk)
    messages.success(request, f"{evaluation} was deleted.")
    return redirect("evaluations:list", slug)
