"""The page that brings a model in: by upload, from the server, or from the Hub."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods
from pydantic import ValidationError

from trivium.datasets.sending import is_too_large, take_source, too_large_sentence
from trivium.datasets.services import forgotten_on_failure
from trivium.http import SignedInRequest, add_form_error
from trivium.models.forms import ImportForm
from trivium.models.importing import start_import
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run


@csrf_exempt
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_model(request: SignedInRequest, slug: str) -> HttpResponse:
    """Bring a model in. Who may, and how much, is asked before the body is parsed.

    The CSRF check reads the form, and with it the file: hence exempt here, and made
    by the inner view.
    """
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    if is_too_large(request):
        form, sentence = ImportForm(), too_large_sentence()
        return _page(request, project, form, status=413, sentence=sentence)
    response: HttpResponse = _import_model(request, project)
    return response


@csrf_protect
def _import_model(request: SignedInRequest, project: Project) -> HttpResponse:
    if request.method != "POST":
        return _page(request, project, ImportForm(), status=200)
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, project, form, status=422)
    try:
        run = _start(request, project, form)
    except SubmitError as error:
        add_form_error(form, error)
    except ValidationError as error:
        for problem in error.errors():
            field = str(problem["loc"][0]) if problem["loc"] else ""
            text = str(problem["msg"]).removeprefix("Value error, ")
            add_form_error(form, SubmitError(text, field=field))
    else:
        return redirect("runs:detail", project.slug, run.pk)
    return _page(request, project, form, status=422)


def _start(request: SignedInRequest, project: Project, form: ImportForm) -> Run:
    """Keep what was sent and queue its import; a refused one leaves nothing behind."""
    file, path, upload = form.sent_file, form.cleaned_data["path"], None
    if file is not None or path:
        upload = take_source(
            project=project,
            created_by=request.user,
            file=file,
            path=path,
            may_be_folder=True,
        )
    with forgotten_on_failure(upload):
        return start_import(
            project=project,
            created_by=request.user,
            upload=upload,
            name=form.cleaned_data["name"],
            settings=dict(form.settings()),
        )


def _page(
    request: SignedInRequest,
    project: Project,
    form: ImportForm,
    *,
    status: int,
    sentence: str = "",
) -> HttpResponse:
    context = {
        "project": project,
        "form": form,
        "sentence": sentence,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "import_roots": settings.IMPORT_ROOTS,
        "has_hub": settings.HUB,
    }
    return render(request, "models/import.html", context, status=status)
