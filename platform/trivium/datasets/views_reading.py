"""The page between a file and its rows: what it was taken for, and what it shall be."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from pydantic import ValidationError
from runspec import IngestSpec
from runspec.ingest import PARTS
from runspec.looking import Look

from trivium.datasets import looking, services
from trivium.datasets.forms import ReadingForm, chosen_for_look
from trivium.datasets.models import Upload
from trivium.http import SignedInRequest, add_form_error
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.errors import SubmitError
from trivium.runs.kinds import start_run
from trivium.runs.models import Run


def _find(request: SignedInRequest, slug: str, pk: int) -> tuple[Project, Upload]:
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    return project, get_object_or_404(Upload, project=project, pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")
def read_upload(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show what a file was taken for; a POST brings it in as chosen."""
    project, upload = _find(request, slug, pk)
    if request.method == "POST":
        return _bring_in(request, project, upload)
    look = looking.look_at_upload(upload, chosen_for_look(request.GET))
    initial = {**request.GET.dict(), **_found(look)}
    form = ReadingForm(initial=initial, kind=look.kind, look=look)
    return _page(request, project, upload, form, look)


def _found(look: Look) -> dict[str, Any]:
    """Return what a look found out, as a form holds it."""
    parts = [part.name for part in PARTS.get(look.kind, ())]
    columns = {f"part_{part}": look.mapping.get(part, "") for part in parts}
    return {"dataset_kind": look.kind, **({} if look.question else columns)}


def _bring_in(
    request: SignedInRequest, project: Project, upload: Upload
) -> HttpResponse:
    chosen = request.POST.get("dataset_kind", "")
    kind = chosen if chosen in PARTS else ""
    form = ReadingForm(request.POST, kind=kind)
    if form.is_valid():
        run = _start(request, project, upload, form)
        if run is not None:
            return redirect("runs:detail", project.slug, run.pk)
    look = looking.look_at_upload(upload, chosen_for_look(request.POST))
    shown = ReadingForm(request.POST, kind=kind, look=look)
    for field, errors in form.errors.items():
        for error in errors:
            shown.add_error(field if field in shown.fields else None, error)
    return _page(request, project, upload, shown, look, status=422)


def _start(
    request: SignedInRequest, project: Project, upload: Upload, form: ReadingForm
) -> Run | None:
    """Queue the ingest; what is wrong is noted in the form."""
    try:
        spec = IngestSpec(
            source=str(upload.pk), file_name=upload.file_name, **form.settings()
        )
        return start_run(
            project=project,
            created_by=request.user,
            spec=spec,
            name=form.cleaned_data["name"],
        )
    except SubmitError as error:
        add_form_error(form, error)
    except ValidationError as error:
        for problem in error.errors():
            field = str(problem["loc"][0]) if problem["loc"] else ""
            text = str(problem["msg"]).removeprefix("Value error, ")
            add_form_error(form, SubmitError(text, field=field))
    return None


def _page(
    request: SignedInRequest,
    project: Project,
    upload: Upload,
    form: ReadingForm,
    look: Look,
    *,
    status: int = 200,
) -> HttpResponse:
    context = {
        "project": project,
        "upload": upload,
        "form": form,
        "look": look,
        "good": [row for row in look.rows if not row.reason],
        "bad": [row for row in look.rows if row.reason],
        "is_clear": not (look.error or look.question) and bool(look.kind),
    }
    template = "datasets/reading.html"
    if request.htmx:
        template += "#look"
    return render(request, template, context, status=status)


@login_required
@require_POST
def forget_upload(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a file that was sent and shall not be brought in."""
    project, upload = _find(request, slug, pk)
    name = upload.file_name
    try:
        services.forget_upload(upload)
    except services.InUseError as error:
        messages.error(request, f"{error}.")
        return redirect("datasets:list", project.slug)
    messages.success(request, f"{name} was forgotten.")
    return redirect("datasets:new", project.slug)
