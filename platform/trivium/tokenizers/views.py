"""Pages of tokenizers: list, one tokenizer, and how it splits a text."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from runspec.layout import TokenizerReport

from trivium.datasets.services import InUseError
from trivium.http import SignedInRequest, searched_name
from trivium.pages.lineage import tokenizer_levels
from trivium.paging import newest_first
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.tokenizers import queries, services, splitting
from trivium.tokenizers.forms import EXAMPLE, TryForm
from trivium.tokenizers.models import Tokenizer
from trivium.tokenizers.pieces import pieces


@login_required
@require_safe
def list_tokenizers(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's tokenizers; `?q=` narrows by name."""
    project = get_project(request.user, slug)
    search = searched_name(request)
    tokenizers = queries.tokenizers_visible_to(request.user).filter(project=project)
    if search:
        tokenizers = tokenizers.filter(name__icontains=search)
    context = {
        "project": project,
        "paged": newest_first(request, tokenizers),
        "search": search,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    return render(request, "tokenizers/list.html", context)


@login_required
@require_safe
def new_tokenizer(request: SignedInRequest, slug: str) -> HttpResponse:
    """Go where a tokenizer begins: a run."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    return redirect(f"{reverse('runs:new', args=[slug])}?kind=tokenizer")


@login_required
@require_safe
def tokenizer_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show one tokenizer, and how it splits an example."""
    project = get_project(request.user, slug)
    tokenizer = find_tokenizer(request, project, pk)
    form = TryForm({"text": EXAMPLE})
    return detail_page(request, tokenizer, form, "tokenizers/detail.html")


@login_required
@require_POST
def try_tokenizer(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Split the text sent; htmx gets the pieces alone."""
    project = get_project(request.user, slug)
    tokenizer = find_tokenizer(request, project, pk)
    template = "tokenizers/detail.html" + ("#split" if request.htmx else "")
    return detail_page(request, tokenizer, TryForm(request.POST), template)


@login_required
@require_POST
def delete_tokenizer(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a tokenizer nothing depends on, or say what does."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    tokenizer = find_tokenizer(request, project, pk)
    try:
        services.delete_tokenizer(tokenizer)
    except InUseError as error:
        messages.error(request, f"{error}. Delete that first.")
        return redirect("tokenizers:detail", slug, pk)
    messages.success(request, f"The tokenizer {tokenizer} was deleted.")
    return redirect("tokenizers:list", slug)


def find_tokenizer(request: SignedInRequest, project: Project, pk: int) -> Tokenizer:
    """Return a tokenizer of `project`; Http404 where it has none of that number."""
    tokenizers = queries.tokenizers_visible_to(request.user).filter(project=project)
    return get_object_or_404(tokenizers.select_related("project"), pk=pk)


def detail_page(
    request: SignedInRequest, tokenizer: Tokenizer, form: TryForm, template: str
) -> HttpResponse:
    """Render a tokenizer's page, or a part of it."""
    project = tokenizer.project
    context: dict[str, Any] = {
        "project": project,
        "tokenizer": tokenizer,
        "form": form,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    if form.is_valid():
        context |= split_context(tokenizer, form.cleaned_data["text"])
    if not template.endswith("#split"):
        context["levels"] = tokenizer_levels(tokenizer)
        if tokenizer.report:
            context["report"] = report = TokenizerReport(**tokenizer.report)
            learned = report.vocabulary_size - len(report.special_tokens)
            context["unused_share"] = report.unused_tokens / max(1, learned)
    # htmx shows no answer of 4xx, so a form that is wrong still answers it 200.
    status = 422 if form.errors and not request.htmx else 200
    return render(request, template, context, status=status)


def split_context(tokenizer: Tokenizer, text: str) -> dict[str, Any]:
    """Return a text in pieces, with its counts."""
    if not tokenizer.is_ready:
        return {}
    try:
        tokens = splitting.split_text(tokenizer, text)
    except FileNotFoundError:
        return {"is_gone": True}
    num_bytes = len(text.encode())
    return {
        "pieces": pieces(text, tokens),
        "num_tokens": len(tokens),
        "num_characters": len(text),
        "num_bytes": num_bytes,
        "bytes_per_token": num_bytes / len(tokens) if tokens else None,
    }
