"""What is asked of one step: to try again, or to change its settings."""

from typing import NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from trivium.http import SignedInRequest, add_form_error
from trivium.pipelines import services
from trivium.pipelines.description import spec_class
from trivium.pipelines.forms import StepForm
from trivium.pipelines.picture import current_states
from trivium.pipelines.queries import get_step
from trivium.pipelines.views import engineers_pipeline
from trivium.pipelines.writing import described_step
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.fields import shown


class Known(NamedTuple):
    """One setting a step may have."""

    name: str
    default: str
    help: str


def settings_known(kind: str) -> list[Known]:
    """Return the settings of a kind, each with its default."""
    return [
        Known(
            name,
            "" if field.is_required() else str(shown(field.get_default()))[:60],
            field.description or "",
        )
        for name, field in spec_class(kind).model_fields.items()
        if name != "kind"
    ]


@login_required
@require_POST
def retry(request: SignedInRequest, slug: str, pk: int, name: str) -> HttpResponse:
    """Try a failed or cancelled step again."""
    pipeline = engineers_pipeline(request, slug, pk)
    step = get_step(pipeline, name)
    try:
        services.retry_step(step, actor=request.user)
    except (IllegalTransitionError, SubmitError) as error:
        messages.error(request, f"{str(error)[:1].upper()}{str(error)[1:]}.")
    else:
        messages.success(request, f"Step {name} is tried again.")
    return redirect("pipelines:detail", slug, pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: SignedInRequest, slug: str, pk: int, name: str) -> HttpResponse:
    """Change settings of a step that failed or has not begun, and go on with them."""
    pipeline = engineers_pipeline(request, slug, pk)
    step = get_step(pipeline, name)
    described = described_step(pipeline, step)
    settings = {key: described[key] for key in step.settings}
    form = StepForm(settings, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.edit_step(step, actor=request.user, changes=form.changes())
        except SubmitError as error:
            error.field = "settings"
            add_form_error(form, error)
        except IllegalTransitionError as error:
            form.add_error(None, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        else:
            messages.success(request, f"Step {name} goes on with its new settings.")
            return redirect("pipelines:detail", slug, pk)
    context = {
        "project": pipeline.project,
        "pipeline": pipeline,
        "step": step,
        "step_state": current_states(pipeline)[name],
        "form": form,
        "known": settings_known(step.kind),
    }
    status = 422 if form.errors else 200
    return render(request, "pipelines/step.html", context, status=status)
