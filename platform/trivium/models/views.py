"""Pages of models: list, one model, its files as one download."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from trivium import storage
from trivium.datasets.services import InUseError
from trivium.http import SignedInRequest
from trivium.models import queries, services
from trivium.models.archive import stream_zip
from trivium.models.card import card_html
from trivium.models.models import LanguageModel
from trivium.pages.lineage import model_levels
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role

MAX_LISTED = 500
MAX_FOLDER_NAME = 80


@login_required
@require_safe
def list_models(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's models; `?q=` narrows by name."""
    project = get_project(request.user, slug)
    search = request.GET.get("q", "").replace("\0", "").strip()
    models = queries.models_visible_to(request.user).filter(project=project)
    if search:
        models = models.filter(name__icontains=search)
    context = {
        "project": project,
        "models": models.order_by("-pk")[:MAX_LISTED],
        "search": search,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    return render(request, "models/list.html", context)


@login_required
@require_safe
def new_model(request: SignedInRequest, slug: str) -> HttpResponse:
    """Go where a model begins: a pretraining run."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    return redirect(f"{reverse('runs:new', args=[slug])}?kind=pretrain")


@login_required
@require_safe
def model_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show one model: its card, files and lineage."""
    project = get_project(request.user, slug)
    model = find_model(request, project, pk)
    context = {
        "project": project,
        "model": model,
        "card": card_html(model),
        "levels": model_levels(model),
        "folder": folder_name(model),
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    return render(request, "models/detail.html", context)


@login_required
@require_safe
def download_model(
    request: SignedInRequest, slug: str, pk: int
) -> HttpResponse | StreamingHttpResponse:
    """Send all files of a model as one zip."""
    project = get_project(request.user, slug)
    model = find_model(request, project, pk)
    if not model.is_ready:
        raise Http404("this model is not ready")
    try:
        folder = storage.local_copy(model.path)
        names = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
    except OSError:
        raise Http404("the files of this model are gone") from None
    top = folder_name(model)
    response = StreamingHttpResponse(
        stream_zip(folder, names, top=top), content_type="application/zip"
    )
    disposition = content_disposition_header(as_attachment=True, filename=f"{top}.zip")
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response


@login_required
@require_POST
def delete_model(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a model nothing depends on, or say what does."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    model = find_model(request, project, pk)
    try:
        services.delete_model(model)
    except InUseError as error:
        messages.error(request, f"{error}. Delete that first.")
        return redirect("models:detail", slug, pk)
    messages.success(request, f"The model {model} was deleted.")
    return redirect("models:list", slug)


def find_model(request: SignedInRequest, project: Project, pk: int) -> LanguageModel:
    """Return a model of `project`; Http404 where it has none of that number."""
    models = queries.models_visible_to(request.user).filter(project=project)
    return get_object_or_404(
        models.select_related("project", "tokenizer__dataset__dataset"), pk=pk
    )


def folder_name(model: LanguageModel) -> str:
    """Return the name of the folder inside the download."""
    return slugify(model.name)[:MAX_FOLDER_NAME] or f"model-{model.pk}"
