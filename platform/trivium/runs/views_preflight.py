"""What people do about a preflight: mend what it found, or train as it was checked."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST
from pydantic import ValidationError
from runspec import parse_spec

from trivium.http import SignedInRequest
from trivium.projects.models import Role
from trivium.runs import kinds
from trivium.runs.errors import SubmitError
from trivium.runs.fields import plain
from trivium.runs.models import Run
from trivium.runs.preflights import changes_of, training_of
from trivium.runs.views import find_run
from trivium.runs.views_actions import sentence


@login_required
@require_POST
def mend_run(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Try a refused run again with the settings its failed `check` asks for."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    changes = changes_of(run, request.POST.get("check", ""))
    if not changes:
        messages.error(request, "That check knows no setting that would mend it.")
        return redirect("runs:detail", slug, run.pk)
    return start_again(request, run, with_changes(run, changes))


def with_changes(run: Run, changes: dict[str, Any]) -> dict[str, Any]:
    """Return changes of a training as changes of the run that is it, or checks it."""
    if run.kind == Run.Kind.PREFLIGHT:
        return {"training": training_of(run) | changes}
    return changes


def start_again(
    request: SignedInRequest, run: Run, changes: dict[str, Any]
) -> HttpResponse:
    """Queue the run anew, and go there; a refusal is a sentence on the old page."""
    try:
        new = kinds.retry_run(run=run, actor=request.user, changes=changes)
    except ValidationError as error:
        for one in error.errors():
            messages.error(request, plain(one["msg"]))
    except (SubmitError, ValueError) as error:
        messages.error(request, sentence(error))
    else:
        messages.success(request, f"Trying {run.name} again, mended.")
        return redirect("runs:detail", run.project.slug, new.pk)
    return redirect("runs:detail", run.project.slug, run.pk)


@login_required
@require_POST
def start_checked(request: SignedInRequest, slug: str, run_id: int) -> HttpResponse:
    """Start the training that a preflight of its own has checked."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    if run.kind != Run.Kind.PREFLIGHT:
        messages.error(request, "Only a preflight has something to start.")
        return redirect("runs:detail", slug, run.pk)
    is_taken = run.project.models.filter(name=run.name).exists()
    try:
        new = kinds.start_run(
            project=run.project,
            created_by=request.user,
            spec=parse_spec(training_of(run)),
            name="" if is_taken else run.name,
        )
    except (SubmitError, ValueError) as error:
        messages.error(request, sentence(error))
        return redirect("runs:detail", slug, run.pk)
    messages.success(request, f"{new.name} is queued.")
    return redirect("runs:detail", slug, new.pk)
