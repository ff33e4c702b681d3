"""What is said in a conversation: sent, edited, answered again, deleted."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from trivium.http import SignedInRequest
from trivium.playground import services
from trivium.playground.fitting import DoesNotFitError, Fit, fit
from trivium.playground.forms import MessageForm, SettingsForm, initial_of
from trivium.playground.models import Conversation, Generation, Message
from trivium.playground.queries import branch_of, get_conversation, messages_of
from trivium.playground.showing import bubble, page_context, settings_form, talkable
from trivium.playground.views import (
    TEMPLATE,
    conversation_named,
    own_conversation,
    settings_of,
    show,
)
from trivium.projects.models import Project
from trivium.projects.queries import get_project
from trivium.serving.choices import ModelChoice
from trivium.serving.errors import ServingError


@login_required
@require_POST
def send_message(
    request: SignedInRequest, slug: str, pk: int | None = None
) -> HttpResponse:
    """Say something; `replaces` names the message it is an edit of.

    The first message makes the conversation.
    """
    project = get_project(request.user, slug)
    conversation = own_conversation(request, project, pk) if pk else None
    form = SettingsForm(
        sent_settings(request, conversation), choices=talkable(request.user, project)
    )
    composer = MessageForm(request.POST)
    if not (form.is_valid() and composer.is_valid()):
        return refuse(request, project, conversation, form, composer)
    if conversation is None:
        conversation = services.start_conversation(
            project=project, created_by=request.user, choice_id=""
        )
    services.change_conversation(conversation, **settings_of(form))
    try:
        services.send_message(
            conversation,
            sender=request.user,
            choice=form.model_choice,
            content=composer.cleaned_data["content"],
            parent=parent_of(request, conversation),
        )
    except (services.StillAnsweringError, DoesNotFitError, ServingError) as error:
        composer.add_error("content", str(error))
        if pk is None:
            conversation.delete()
            conversation = None
        return refuse(request, project, conversation, form, composer)
    return thread(request, project, conversation, is_sent=True)


def sent_settings(request: SignedInRequest, conversation: Conversation | None) -> Any:
    """Return the settings sent; an edited message comes without, so they stay."""
    if "choice" in request.POST or conversation is None:
        return request.POST
    return initial_of(conversation)


def parent_of(request: SignedInRequest, conversation: Conversation) -> Message | None:
    """Return what the new message follows: the head, or what an edited one did."""
    replaced = request.POST.get("replaces", "")
    if not replaced.isdecimal():
        return conversation.head
    return get_object_or_404(conversation.messages, pk=int(replaced[:18])).parent


def refuse(
    request: SignedInRequest,
    project: Project,
    conversation: Conversation | None,
    form: SettingsForm,
    composer: MessageForm,
) -> HttpResponse:
    """Show what is wrong beside the input, which keeps what was written."""
    context = page_context(request.user, project, conversation, form)
    context["composer"] = composer
    if not request.htmx:
        return render(request, TEMPLATE, context, status=422)
    response = render(request, f"{TEMPLATE}#composer", context)
    response["HX-Retarget"] = "#composer"
    response["HX-Reswap"] = "outerHTML"
    return response


def thread(
    request: SignedInRequest,
    project: Project,
    conversation: Conversation,
    *,
    is_sent: bool = False,
    undo: Message | None = None,
) -> HttpResponse:
    """Show a conversation after it changed, at its own address.

    What was sent leaves an empty input behind, and may have made a conversation.
    """
    url = reverse("playground:conversation", args=[project.slug, conversation.pk])
    if not request.htmx:
        return redirect(f"{url}?undo={undo.pk}" if undo else url)
    form = settings_form(request.user, project, conversation)
    context = page_context(request.user, project, conversation, form)
    context["is_part"] = is_sent
    context["undo_id"] = undo.pk if undo else None
    response = render(request, f"{TEMPLATE}#thread", context)
    if (
        request.headers.get("HX-Current-URL", "").rpartition("/p/")[2]
        != (url.rpartition("/p/")[2])
    ):
        response["HX-Push-Url"] = url
    return response


def own_message(
    request: SignedInRequest,
    slug: str,
    pk: int,
    message_id: int,
    which: Q | None = None,
) -> tuple[Project, Conversation, Message]:
    """Return a message of one's own conversation, with where it stands."""
    project = get_project(request.user, slug)
    conversation = own_conversation(request, project, pk)
    found = conversation.messages.filter(which or Q())
    return project, conversation, get_object_or_404(found, pk=message_id)


@login_required
@require_POST
def answer_again(
    request: SignedInRequest, slug: str, pk: int, message_id: int
) -> HttpResponse:
    """Have another version of an answer made, by the model that is chosen now."""
    answers = Q(role=Message.Role.ASSISTANT)
    project, conversation, message = own_message(request, slug, pk, message_id, answers)
    form = settings_form(request.user, project, conversation)
    choice: ModelChoice | None = form.by_id.get(str(form["choice"].value()))
    if choice is None:
        return show(request, project, conversation, form)
    try:
        services.answer_again(
            conversation, sender=request.user, choice=choice, message=message
        )
    except (DoesNotFitError, ServingError) as error:
        composer = MessageForm({"content": ""})
        composer.full_clean()
        composer.errors.clear()
        composer.add_error("content", str(error))
        return refuse(request, project, conversation, form, composer)
    return thread(request, project, conversation)


@login_required
@require_POST
def choose_version(
    request: SignedInRequest, slug: str, pk: int, message_id: int
) -> HttpResponse:
    """Show another version of a message."""
    project, conversation, message = own_message(request, slug, pk, message_id)
    services.choose_version(conversation, message)
    return thread(request, project, conversation)


@login_required
@require_POST
def edit_answer(
    request: SignedInRequest, slug: str, pk: int, message_id: int
) -> HttpResponse:
    """Go on from what the model should have said: another version of its answer."""
    whole = Q(generation=None) | Q(generation__state__in=Generation.OVER)
    answers = Q(role=Message.Role.ASSISTANT) & whole
    project, conversation, message = own_message(request, slug, pk, message_id, answers)
    composer = MessageForm(request.POST)
    if not composer.is_valid():
        form = settings_form(request.user, project, conversation)
        return refuse(request, project, conversation, form, composer)
    services.edit_answer(conversation, message, composer.cleaned_data["content"])
    return thread(request, project, conversation)


@login_required
@require_POST
def delete_message(
    request: SignedInRequest, slug: str, pk: int, message_id: int
) -> HttpResponse:
    """Hide a message and what follows it; the page offers to undo that."""
    project, conversation, message = own_message(request, slug, pk, message_id)
    services.delete_message(conversation, message)
    return thread(request, project, conversation, undo=message)


@login_required
@require_POST
def restore_message(
    request: SignedInRequest, slug: str, pk: int, message_id: int
) -> HttpResponse:
    """Bring a deleted message back, and what followed it."""
    project, conversation, message = own_message(request, slug, pk, message_id)
    services.restore_message(conversation, message)
    return thread(request, project, conversation)


@login_required
@require_safe
def show_turn(
    request: SignedInRequest, slug: str, pk: int, message_id: int
) -> HttpResponse:
    """Draw one message of the shown branch anew: its answer is complete."""
    project = get_project(request.user, slug)
    conversation = get_conversation(request.user, project, pk)
    turns = [one for one in branch_of(conversation) if one.message.pk == message_id]
    if not turns:
        return HttpResponse("", status=404)
    context = {
        "project": project,
        "conversation": conversation,
        "bubble": bubble(turns[0]),
        "is_mine": conversation.created_by_id == request.user.pk,
    }
    return render(request, "playground/turn.html", context)


@login_required
@require_POST
def measure_context(request: SignedInRequest, slug: str) -> HttpResponse:
    """Show how a conversation and the draft lie in the model's window."""
    project = get_project(request.user, slug)
    conversation = conversation_named(request, project)
    form = SettingsForm(request.POST, choices=talkable(request.user, project))
    context: dict[str, object] = {"project": project}
    if form.is_valid():
        said = messages_of(
            branch_of(conversation) if conversation else [],
            form.cleaned_data["system"],
        )
        draft = request.POST.get("content", "")[:200_000]
        if draft.strip():
            said.append({"role": "user", "content": draft})
        context |= bar(form.model_choice, said, form.cleaned_data["overflow"])
    return render(request, "playground/context.html", context)


def bar(
    choice: ModelChoice, said: list[dict[str, str]], overflow: str
) -> dict[str, object]:
    """Return what the context bar is drawn from."""
    if not any(one["role"] == "user" for one in said):
        return {}
    try:
        fitted = fit(choice, said, overflow=overflow)
    except DoesNotFitError as error:
        return {"refusal": str(error)}
    except ServingError as error:
        return {"unknown": str(error)}
    parts = parts_of(fitted)
    return {"fit": fitted, "parts": parts}


def parts_of(fitted: Fit) -> list[dict[str, object]]:
    """Return each message with its place and share in the window, in percent."""
    if not fitted.context or len(fitted.tokens) != len(fitted.messages):
        return []
    parts: list[dict[str, object]] = []
    num_before = 0
    for message, tokens in zip(fitted.messages, fitted.tokens, strict=True):
        parts.append(
            {
                "role": message["role"],
                "tokens": tokens,
                "at": f"{100 * num_before / fitted.context:.2f}",
                "share": f"{100 * tokens / fitted.context:.2f}",
            }
        )
        num_before += tokens
    return parts
