"""Pages of pipelines: the list, one with its picture, and what ends one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from trivium.campaigns.queries import may_label
from trivium.datasets.services import InUseError
from trivium.http import HTMX_STOP_POLLING, SignedInRequest, searched_name
from trivium.paging import newest_first
from trivium.pipelines import services
from trivium.pipelines.models import Pipeline
from trivium.pipelines.picture import current_states, picture_of
from trivium.pipelines.queries import (
    get_pipeline,
    pipelines_visible_to,
    require_reader,
    sees_answerers,
)
from trivium.pipelines.rounds import history_of, loop_of, start_next_round
from trivium.pipelines.states import WORDS, state_of_pipeline
from trivium.pipelines.writing import as_yaml
from trivium.projects.models import Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.models import Run


@login_required
@require_safe
def list_pipelines(request: SignedInRequest, slug: str) -> HttpResponse:
    """List the pipelines of a project, the newest first; `?q=` narrows by name."""
    project = get_project(request.user, slug)
    search = searched_name(request)
    found = pipelines_visible_to(request.user).filter(project=project)
    if search:
        found = found.filter(name__icontains=search)
    rows = []
    paged = newest_first(request, found)
    for pipeline in paged:
        states = current_states(pipeline)
        state = state_of_pipeline(pipeline, states)
        done = sum(one.state == Run.State.SUCCEEDED for one in states.values())
        rows.append((pipeline, state, WORDS[state], done, len(states)))
    context = {
        "project": project,
        "rows": rows,
        "paged": paged,
        "search": search,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    return render(request, "pipelines/list.html", context)


@login_required
@require_safe
@vary_on_headers("HX-Request")
def pipeline_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show a pipeline; htmx asks for the picture while something may change."""
    project = get_project(request.user, slug)
    pipeline = get_pipeline(request.user, project, pk)
    context = context_of(request, pipeline)
    template = "pipelines/detail.html"
    if not request.htmx:
        loop = loop_of(pipeline)
        context["loop"] = loop
        if loop is not None and sees_answerers(request.user, project):
            context["rounds"] = history_of(pipeline)
        return render(request, template, context)
    status = 200 if context["picture"].is_moving else HTMX_STOP_POLLING
    return render(request, f"{template}#picture", context, status=status)


def context_of(request: SignedInRequest, pipeline: Pipeline) -> dict[str, Any]:
    """Return what the page of a pipeline shows."""
    states = current_states(pipeline)
    state = state_of_pipeline(pipeline, states)
    sees_all = sees_answerers(request.user, pipeline.project)
    picture = picture_of(pipeline, states, sees_answerers=sees_all)
    is_over = all(one.state in Run.TERMINAL for one in states.values())
    return {
        "project": pipeline.project,
        "pipeline": pipeline,
        "state": state,
        "state_word": WORDS[state],
        "picture": picture,
        "is_over": is_over or pipeline.cancelled is not None,
        "can_edit": has_role(request.user, pipeline.project, Role.ENGINEER),
        "sees_yaml": sees_all,
        "labels_in": [
            step.campaign_id
            for step in pipeline.steps.all()
            if step.campaign is not None and may_label(request.user, step.campaign)
        ],
    }


@login_required
@require_safe
def download_yaml(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Give the description a pipeline could be made from again, as a file."""
    project = get_project(request.user, slug)
    pipeline = get_pipeline(request.user, project, pk)
    require_reader(request.user, project)
    response = HttpResponse(as_yaml(pipeline), content_type="text/plain; charset=utf-8")
    name = slugify(pipeline.name) or f"pipeline-{pipeline.pk}"
    response["Content-Disposition"] = f'attachment; filename="{name}.yaml"'
    return response


@login_required
@require_POST
def next_round(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Make the next round: a campaign of the new model and the one before."""
    pipeline = engineers_pipeline(request, slug, pk)
    number = request.POST.get("policy", "")
    loop = loop_of(pipeline)
    offered = loop.policies if loop is not None else []
    policy = next((one for one in offered if str(one.pk) == number), None)
    try:
        made = start_next_round(pipeline, actor=request.user, policy=policy)
    except SubmitError as error:
        messages.error(request, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return redirect("pipelines:detail", slug, pk)
    messages.success(request, f"Round {made.round} has begun: models answer first.")
    return redirect("pipelines:detail", slug, made.pk)


@login_required
@require_POST
def cancel(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Cancel its runs, pause its campaigns, and start no further step."""
    pipeline = engineers_pipeline(request, slug, pk)
    try:
        number = services.cancel_pipeline(pipeline, actor=request.user)
    except IllegalTransitionError as error:
        messages.warning(request, f"{str(error)[:1].upper()}{str(error)[1:]}.")
    else:
        plural = "" if number == 1 else "s"
        messages.success(request, f"Cancelled, with {number} run{plural}.")
    return redirect("pipelines:detail", slug, pk)


@login_required
@require_POST
def delete(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Forget a pipeline that is over; its runs and models stay."""
    pipeline = engineers_pipeline(request, slug, pk)
    try:
        services.delete_pipeline(pipeline)
    except InUseError as error:
        messages.error(request, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return redirect("pipelines:detail", slug, pk)
    messages.success(request, f"{pipeline.name} is forgotten; what it made is there.")
    return redirect("pipelines:list", slug)


def engineers_pipeline(request: SignedInRequest, slug: str, pk: int) -> Pipeline:
    """Return a pipeline for an engineer; 404 for strangers, 403 for low roles."""
    project = get_project(request.user, slug)
    pipeline = get_pipeline(request.user, project, pk)
    require_role(request.user, project, Role.ENGINEER)
    return pipeline
