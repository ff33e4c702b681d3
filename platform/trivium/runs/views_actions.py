"""What people do to runs from a page; a refusal is a sentence, never an error page."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from trivium.datasets.services import InUseError
from trivium.http import SignedInRequest, as_id
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role
from trivium.runs import again, checkpoints, kinds, services, watching
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.models import Run
from trivium.runs.retrying import RetryForm
from trivium.runs.views import MAX_POLLED, find_run

PRIORITY_STEPS = {"up": 1, "down": -1}


def act(
    request: SignedInRequest,
    slug: str,
    run_id: int,
    action: Callable[[Run], None],
    done: str,
) -> HttpResponse:
    """Do it, and show the run as it then is: its row for htmx, else its page."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    notice = ""
    try:
        action(run)
    except (IllegalTransitionError, SubmitError) as error:
        notice = sentence(error)
    run = find_run(request, slug, run_id)
    if request.htmx:
        context = {
            "project": run.project,
            "run": run,
            "can": watching.actions_for(run),
            "can_edit": True,
            "notice": notice,
        }
        return render(request, "runs/list.html#row", context)
    if notice:
        messages.warning(request, notice)
    else:
        messages.success(request, done)
    return redirect("runs:detail", slug, run.pk)


def sentence(error: ValueError) -> str:
    """Return what a service refused as a whole sentence."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


@login_required
@require_POST
def cancel_run(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """End a run for good."""
    return act(
        request,
        slug,
        run_id,
        lambda run: services.request_cancel(run, request.user),
        "The run is being cancelled.",
    )


@login_required
@require_POST
def pause_run(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Save a checkpoint and give the devices back."""
    return act(
        request,
        slug,
        run_id,
        lambda run: services.request_pause(run, request.user),
        "The run saves a checkpoint and pauses.",
    )


@login_required
@require_POST
def resume_run(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Queue a paused run again."""
    return act(
        request,
        slug,
        run_id,
        lambda run: services.resume_run(run, request.user),
        "The run is in the queue again.",
    )


@login_required
@require_POST
def change_priority(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Move a run up or down the queue by one."""
    by = PRIORITY_STEPS.get(request.POST.get("direction", ""), 0)
    return act(
        request,
        slug,
        run_id,
        lambda run: services.change_priority(run, request.user, run.priority + by),
        "The run has a new priority.",
    )


@login_required
@require_POST
def cancel_runs(request: SignedInRequest, slug: str) -> HttpResponse:
    """Cancel every chosen run that is not finished."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    chosen = [as_id(pk) for pk in request.POST.getlist("run")[:MAX_POLLED]]
    runs = project.runs.filter(pk__in=[pk for pk in chosen if pk is not None])
    num_cancelled, refused = 0, []
    for run in runs:
        try:
            services.request_cancel(run, request.user)
            num_cancelled += 1
        except IllegalTransitionError:
            refused.append(run.name)
    if num_cancelled:
        plural = "" if num_cancelled == 1 else "s"
        messages.success(request, f"Cancelling {num_cancelled} run{plural}.")
    if refused:
        messages.warning(request, f"Already finished: {', '.join(refused)}.")
    if not num_cancelled and not refused:
        messages.warning(request, "No run was chosen.")
    return redirect("runs:list", slug)


@login_required
@require_POST
def retry_run(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Queue a new run like this one, with the settings changed that the form names."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    form = RetryForm(run, request.POST)
    if not form.is_valid():
        for name, errors in form.errors.items():
            label = form.fields[name].label if name in form.fields else ""
            messages.error(request, f"{label}: {errors.as_text().removeprefix('* ')}")
        return redirect("runs:detail", slug, run.pk)
    try:
        new = kinds.retry_run(
            run=run, actor=request.user, changes=form.cleaned_data["changes"]
        )
    except ValidationError as error:
        for one in error.errors():
            messages.error(request, one["msg"].removeprefix("Value error, "))
        return redirect("runs:detail", slug, run.pk)
    except (SubmitError, ValueError) as error:
        messages.error(request, sentence(error))
        return redirect("runs:detail", slug, run.pk)
    messages.success(request, f"Trying {run.name} again.")
    return redirect("runs:detail", slug, new.pk)


@login_required
@require_POST
def run_again(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Queue the same spec once more, under a name of its own."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    try:
        new = again.run_again(run=run, actor=request.user)
    except ValidationError as error:
        for one in error.errors():
            messages.error(request, one["msg"].removeprefix("Value error, "))
        return redirect("runs:detail", slug, run.pk)
    except (SubmitError, ValueError) as error:
        messages.error(request, sentence(error))
        return redirect("runs:detail", slug, run.pk)
    messages.success(request, f"{new.name} is queued, with the settings of {run.name}.")
    return redirect("runs:detail", slug, new.pk)


@login_required
@require_POST
def pin_checkpoint(
    request: SignedInRequest, slug: str, run_id: int, checkpoint_id: int
) -> HttpResponse:
    """Keep a checkpoint whatever retention says, or let it go again."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    is_pinned = request.POST.get("pinned") == "1"
    if not checkpoints.pin_checkpoint(
        run=run, checkpoint_id=checkpoint_id, is_pinned=is_pinned
    ):
        messages.warning(request, "That checkpoint is gone.")
    response = redirect("runs:detail", slug, run.pk)
    response["Location"] += "?tab=checkpoints"
    return response


@login_required
@require_POST
def delete_checkpoint(
    request: SignedInRequest, slug: str, run_id: int, checkpoint_id: int
) -> HttpResponse:
    """Delete a checkpoint nothing depends on, or say what does."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    try:
        step = checkpoints.delete_checkpoint(run=run, checkpoint_id=checkpoint_id)
    except InUseError as error:
        messages.error(request, sentence(error))
    else:
        if step is None:
            messages.warning(request, "That checkpoint is gone.")
        else:
            messages.success(request, f"The checkpoint of step {step} was deleted.")
    response = redirect("runs:detail", slug, run.pk)
    response["Location"] += "?tab=checkpoints"
    return response
