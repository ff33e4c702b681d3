"""Pages of models: list, one model, what people say of it, its download."""

from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from runspec.families import FAMILIES

from trivium.datasets.services import InUseError
from trivium.evaluations.figures import figure_of, newest_of
from trivium.http import SignedInRequest, add_form_error
from trivium.models import queries, services
from trivium.models.card import card_html
from trivium.models.download import folder_name, send_zip
from trivium.models.forms import DescribeForm, ModelFilter
from trivium.models.loading import loading_code
from trivium.models.models import LOADERS, LanguageModel
from trivium.pages.lineage import model_levels
from trivium.paging import newest_first
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.runs.errors import SubmitError
from trivium.serving.choices import of_model

TEACH = {
    "decoder": "Teach it to follow instructions",
    "encoder": "Teach it to classify",
    "encoder-decoder": "Teach it a task",
}
LANGUAGE_HEADS = set(LOADERS.values())
"""Loaders of models that can be pretrained further."""


@login_required
@require_safe
def list_models(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's models; the address narrows by name, stage and kind."""
    project = get_project(request.user, slug)
    models = queries.models_visible_to(request.user).filter(project=project)
    narrow = ModelFilter(request.GET, families=queries.families_of(project))
    chosen = narrow.chosen()
    context = {
        "project": project,
        "paged": newest_first(request, queries.narrowed(models, **chosen)),
        "filter": narrow,
        "is_narrowed": bool(chosen),
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
    """Show one model: what it is, its warnings, card, files and lineage."""
    project = get_project(request.user, slug)
    model = find_model(request, project, pk)
    form = DescribeForm(initial={"licence": model.licence, "notes": model.notes})
    return show_model(request, model, form)


def show_model(
    request: SignedInRequest,
    model: LanguageModel,
    form: DescribeForm,
    status: int = 200,
) -> HttpResponse:
    """Render the page of a model, with the form of what people say of it."""
    context = {
        "project": model.project,
        "model": model,
        "form": form,
        "card": card_html(model),
        "levels": model_levels(model),
        "code": loading_code(model, folder_name(model)),
        "talk_url": talk_url(model),
        "teach": teach_label(model),
        "can_evaluate": model.is_ready
        and model.architecture != LanguageModel.Architecture.ENCODER,
        "figure": figure_of(model, newest_of(model.project))
        if model.is_ready
        else None,
        "can_go_on": model.family in FAMILIES and model.loader in LANGUAGE_HEADS,
        "users": queries.what_uses(model),
        "can_edit": has_role(request.user, model.project, Role.ENGINEER),
    }
    return render(request, "models/detail.html", context, status=status)


def talk_url(model: LanguageModel) -> str:
    """Return where one talks to a model; nothing for those that write no text."""
    choice = of_model(model) if model.is_ready else None
    if choice is None or not choice.can_write:
        return ""
    address = reverse("playground:home", args=[model.project.slug])
    return f"{address}?{urlencode({'model': choice.id})}"


def teach_label(model: LanguageModel) -> str:
    """Return what the button says that leads to fine-tuning."""
    if model.stage == LanguageModel.Stage.BASE:
        return TEACH.get(model.architecture, "")
    return "" if model.stage == LanguageModel.Stage.REWARD else "Fine-tune it further"


@login_required
@require_POST
def describe_model(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Keep licence and notes of a model."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    model = find_model(request, project, pk)
    form = DescribeForm(request.POST)
    if form.is_valid():
        try:
            services.describe_model(model, **form.cleaned_data)
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, "Saved; the card has it too.")
            return redirect("models:detail", slug, pk)
    return show_model(request, model, form, status=422)


@login_required
@require_safe
def download_model(
    request: SignedInRequest, slug: str, pk: int
) -> HttpResponse | StreamingHttpResponse:
    """Send a model as one zip: `?part=` whole, merged or adapter."""
    project = get_project(request.user, slug)
    model = find_model(request, project, pk)
    return send_zip(request, model, request.GET.get("part", "whole"))


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
