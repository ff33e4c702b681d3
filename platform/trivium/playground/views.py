"""The page of conversations, and what is changed on it besides messages."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from trivium.http import SignedInRequest
from trivium.playground import services
from trivium.playground.forms import PresetForm, SettingsForm
from trivium.playground.models import Conversation, Preset
from trivium.playground.presets import BUILT_IN, presets_of
from trivium.playground.queries import conversations_visible_to, get_conversation
from trivium.playground.showing import page_context, settings_form, talkable
from trivium.projects.models import Project
from trivium.projects.queries import get_project

TEMPLATE = "playground/chat.html"


@login_required
@require_safe
@vary_on_headers("HX-Request")
def home(request: SignedInRequest, slug: str) -> HttpResponse:
    """Show an empty conversation; `?model=` and `?preset=` say with what."""
    project = get_project(request.user, slug)
    form = settings_form(
        request.user,
        project,
        None,
        wanted=request.GET.get("model", ""),
        changes=preset_changes(request, project),
    )
    return show(request, project, None, form, example=preset_example(request, project))


@login_required
@require_safe
@vary_on_headers("HX-Request")
def conversation_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show one conversation; htmx asks for its parts."""
    project = get_project(request.user, slug)
    conversation = get_conversation(request.user, project, pk)
    changes = preset_changes(request, project)
    form = settings_form(request.user, project, conversation, changes=changes)
    undo_id = deleted_message(request, conversation)
    return show(request, project, conversation, form, undo_id=undo_id)


def deleted_message(request: SignedInRequest, conversation: Conversation) -> int | None:
    """Return the message an address offers to bring back, if it is deleted."""
    named = request.GET.get("undo", "")
    if not named.isdecimal() or conversation.created_by_id != request.user.pk:
        return None
    deleted = conversation.messages.exclude(deleted=None)
    found = deleted.filter(pk=int(named[:18])).first()
    return found.pk if found else None


def show(
    request: SignedInRequest,
    project: Project,
    conversation: Conversation | None,
    form: SettingsForm,
    **more: Any,
) -> HttpResponse:
    """Draw the page, or the part htmx asks for."""
    context = page_context(request.user, project, conversation, form) | more
    part = {"thread": "#thread", "settings": "#settings"}.get(
        request.htmx.target or "" if request.htmx else "", ""
    )
    return render(request, f"{TEMPLATE}{part}", context)


def preset_changes(request: SignedInRequest, project: Project) -> dict[str, Any]:
    """Return the settings of the preset an address names."""
    found = preset_named(request, project)
    if found is None:
        return {}
    stops = [stop.replace("\n", "\\n") for stop in found.sampling.get("stop", [])]
    return {
        **found.sampling,
        "stop": "\n".join(stops),
        "system": found.system,
    }


def preset_example(request: SignedInRequest, project: Project) -> str:
    """Return the first message a preset proposes."""
    found = preset_named(request, project)
    return found.example if found else ""


def preset_named(request: SignedInRequest, project: Project) -> Any:
    """Return the preset an address names: one that is built in, or somebody's."""
    name = request.GET.get("preset", "")
    built_in = next((one for one in BUILT_IN if one.application == name), None)
    if built_in is not None or not name.isdecimal():
        return built_in
    return presets_of(request.user, project).filter(pk=int(name[:18])).first()


@login_required
@require_POST
def change_settings(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Keep what was set; the page sends it as it is changed."""
    project = get_project(request.user, slug)
    conversation = own_conversation(request, project, pk)
    choices = talkable(request.user, project)
    form = SettingsForm(request.POST, choices=choices)
    if not form.is_valid():
        return show(request, project, conversation, form)
    services.change_conversation(conversation, **settings_of(form))
    if request.htmx:
        return show(request, project, conversation, form)
    return redirect("playground:conversation", slug, pk)


def settings_of(form: SettingsForm) -> dict[str, Any]:
    """Return what a valid form says of a conversation."""
    values = form.cleaned_data
    return {
        "choice_id": values["choice"],
        "system": values["system"],
        "sampling": values["sampling"],
        "overflow": values["overflow"],
        "is_shared": values["is_shared"],
    }


def own_conversation(
    request: SignedInRequest, project: Project, pk: int
) -> Conversation:
    """Return a conversation of this person's own; others' are not there to change."""
    mine = conversations_visible_to(request.user, project).filter(
        created_by=request.user
    )
    return get_from(mine, pk)


def get_from(conversations: Any, pk: int) -> Conversation:
    """Return one of these conversations, or that there is none."""
    found: Conversation = get_object_or_404(
        conversations.select_related("head", "project"), pk=pk
    )
    return found


@login_required
@require_POST
def rename_conversation(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Give a conversation another title."""
    project = get_project(request.user, slug)
    conversation = own_conversation(request, project, pk)
    title = " ".join(request.POST.get("title", "").split())[:200]
    if title:
        services.change_conversation(conversation, title=title)
    return redirect("playground:conversation", slug, pk)


@login_required
@require_POST
def delete_conversation(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Hide a conversation; the page offers to bring it back."""
    project = get_project(request.user, slug)
    conversation = own_conversation(request, project, pk)
    services.delete_conversation(conversation)
    return redirect(reverse("playground:home", args=[slug]) + f"?deleted={pk}")


@login_required
@require_POST
def restore_conversation(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Bring a conversation back."""
    project = get_project(request.user, slug)
    mine = Conversation.objects.filter(project=project, created_by=request.user)
    conversation = get_from(mine, pk)
    services.delete_conversation(conversation, is_deleted=False)
    return redirect("playground:conversation", slug, pk)


@login_required
@require_POST
def save_preset(request: SignedInRequest, slug: str) -> HttpResponse:
    """Keep the settings on the page under a name."""
    project = get_project(request.user, slug)
    form = SettingsForm(request.POST, choices=talkable(request.user, project))
    naming = PresetForm(request.POST)
    if form.is_valid() and naming.is_valid():
        services.save_preset(
            project=project,
            created_by=request.user,
            name=naming.cleaned_data["name"],
            application=naming.cleaned_data["application"] or "conversation",
            is_shared=naming.cleaned_data["is_shared"],
            system=form.cleaned_data["system"],
            sampling=form.cleaned_data["sampling"],
        )
    conversation = conversation_named(request, project)
    if request.htmx:
        return show(request, project, conversation, form, preset_form=naming)
    return redirect(back_to(slug, conversation))


@login_required
@require_POST
def delete_preset(request: SignedInRequest, slug: str, preset_id: int) -> HttpResponse:
    """Forget one of one's own presets."""
    project = get_project(request.user, slug)
    mine = Preset.objects.filter(project=project, created_by=request.user)
    services.delete_preset(preset=get_object_or_404(mine, pk=preset_id))
    return redirect("playground:home", slug)


def back_to(slug: str, conversation: Conversation | None) -> str:
    """Return the address of a conversation, or of an empty one."""
    if conversation is None:
        return reverse("playground:home", args=[slug])
    return reverse("playground:conversation", args=[slug, conversation.pk])


def conversation_named(
    request: SignedInRequest, project: Project
) -> Conversation | None:
    """Return the conversation a form names; None for one that is yet to begin."""
    pk = request.POST.get("conversation", "")
    if not pk.isdecimal():
        return None
    return get_conversation(request.user, project, int(pk[:18]))
