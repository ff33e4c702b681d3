"""Conversations go out as files, come in from files, and become datasets."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from trivium.datasets.models import Dataset
from trivium.http import SignedInRequest
from trivium.playground import collecting, exchange
from trivium.playground.forms_beside import CollectForm, ImportForm
from trivium.playground.models import Conversation
from trivium.playground.queries import get_conversation
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.runs.errors import SubmitError
from trivium.serving.choices import choices_of

MAX_LISTED = 200
JSON_LINES = "application/jsonl; charset=utf-8"


@login_required
@require_safe
def show_exchange(request: SignedInRequest, slug: str) -> HttpResponse:
    """Show what can be taken out and brought in."""
    project = get_project(request.user, slug)
    form = CollectForm(choices=mine(request, project))
    return exchange_page(request, project, collect=form)


@login_required
@require_POST
def import_file(request: SignedInRequest, slug: str) -> HttpResponse:
    """Bring conversations in, all of a file or none; bad lines are named."""
    project = get_project(request.user, slug)
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return exchange_page(request, project, form=form)
    try:
        found = exchange.read_lines(form.cleaned_data["file"].read())
    except exchange.BadLinesError as error:
        return exchange_page(request, project, form=form, bad_lines=error.lines)
    writers = [one for one in choices_of(request.user, project) if one.can_write]
    made = collecting.import_conversations(
        project=project,
        created_by=request.user,
        choice_id=writers[0].id if writers else "",
        conversations=found,
    )
    plural = "conversation was" if len(made) == 1 else "conversations were"
    messages.success(request, f"{len(made)} {plural} brought in.")
    return redirect("playground:conversation", slug, made[-1].pk)


@login_required
@require_safe
def export_one(request: SignedInRequest, slug: str, pk: int) -> StreamingHttpResponse:
    """Send the branch of one conversation that is shown."""
    project = get_project(request.user, slug)
    conversation = get_conversation(request.user, project, pk)
    name = slugify(conversation.title)[:60] or f"conversation-{pk}"
    lines = exchange.write_lines([collecting.messages_in(conversation)])
    return as_file(lines, f"{name}.jsonl")


@login_required
@require_safe
def export_all(request: SignedInRequest, slug: str) -> StreamingHttpResponse:
    """Send all of one's own conversations."""
    project = get_project(request.user, slug)
    talks = (collecting.messages_in(one) for one in mine(request, project))
    return as_file(exchange.write_lines(filter(None, talks)), "conversations.jsonl")


@login_required
@require_safe
def export_preferences(request: SignedInRequest, slug: str) -> StreamingHttpResponse:
    """Send the project's votes that prefer one answer, as TRL reads them."""
    project = get_project(request.user, slug)
    votes = collecting.preferences_of(request.user, project)
    lines = collecting.preference_lines(votes.iterator(chunk_size=500))
    return as_file(lines, "preferences.jsonl")


@login_required
@require_POST
def collect(request: SignedInRequest, slug: str) -> HttpResponse:
    """Make a dataset version of conversations: those it had, and the chosen ones."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    form = CollectForm(request.POST, choices=mine(request, project))
    if not form.is_valid():
        return exchange_page(request, project, collect=form)
    chosen = set(form.cleaned_data["conversation"])
    try:
        run = collecting.add_to_dataset(
            project=project,
            created_by=request.user,
            conversations=[
                one for one in mine(request, project) if str(one.pk) in chosen
            ],
            name=form.cleaned_data["name"],
        )
    except SubmitError as error:
        text = str(error)
        field = error.field if error.field in form.fields else None
        form.add_error(field, text[:1].upper() + text[1:] + ".")
        return exchange_page(request, project, collect=form)
    return redirect("runs:detail", slug, run.pk)


def mine(request: SignedInRequest, project: Project) -> list[Conversation]:
    """Return one's own conversations, newest first."""
    rows = Conversation.objects.filter(
        project=project, created_by=request.user, deleted=None
    )
    return list(rows.select_related("head").order_by("-updated", "-pk")[:MAX_LISTED])


def exchange_page(
    request: SignedInRequest,
    project: Project,
    *,
    form: ImportForm | None = None,
    collect: CollectForm | None = None,
    bad_lines: list[str] | None = None,
) -> HttpResponse:
    """Render the page."""
    talks = mine(request, project)
    if collect is None:
        collect = CollectForm(choices=talks)
    chosen = request.POST.getlist("conversation") or request.GET.getlist("conversation")
    votes = collecting.preferences_of(request.user, project)
    context: dict[str, Any] = {
        "project": project,
        "form": form or ImportForm(),
        "collect": collect,
        "bad_lines": bad_lines,
        "talks": talks,
        "chosen": set(chosen),
        "num_preferences": votes.count(),
        "can_collect": has_role(request.user, project, Role.ENGINEER),
        "dataset_names": Dataset.objects.filter(
            project=project, kind=Dataset.Kind.CONVERSATIONS
        ).values_list("name", flat=True),
    }
    is_wrong = bad_lines or is_bad(form) or is_bad(collect)
    status = 422 if is_wrong else 200
    return render(request, "playground/exchange.html", context, status=status)


def is_bad(form: forms.Form | None) -> bool:
    """Whether a form was sent and is not as it must be."""
    return form is not None and bool(form.errors)


def as_file(lines: Any, name: str) -> StreamingHttpResponse:
    """Send lines as a file."""
    response = StreamingHttpResponse(lines, content_type=JSON_LINES)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
