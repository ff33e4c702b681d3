"""The page that shows an answer token by token, and what else could have come."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from trivium.http import SignedInRequest
from trivium.playground import beside, next_token, queries
from trivium.playground.branching import BranchError, branch_answer
from trivium.playground.models import Generation
from trivium.playground.next_token import Told
from trivium.playground.views_fill import sentence
from trivium.projects.models import Project
from trivium.projects.queries import get_project
from trivium.serving.choices import find_choice
from trivium.serving.errors import ServingError

COLOURS = (
    ("probability", "Probability"),
    ("entropy", "Entropy"),
    ("none", "Nothing"),
)
PROBABILITY_LEGEND = ("≥ 90 %", "≥ 50 %", "≥ 20 %", "≥ 5 %", "less likely")
ENTROPY_LEGEND = ("< 0.5 nats", "< 1.5", "< 3", "< 4.5", "undecided")
CONTEXT_CHARACTERS = 36
MAX_PROMPT_SHOWN = 20_000


@login_required
@require_safe
def show_tokens(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show an answer token by token; `?at=` one of them, htmx gets its panel alone."""
    project = get_project(request.user, slug)
    generation = find_generation(request, project, pk)
    told = beside.tokens_told(generation)
    tokens = next_token.as_told(told)
    colour = request.GET.get("colour", "")
    context: dict[str, Any] = {
        "project": project,
        "generation": generation,
        "tokens": tokens,
        "colours": COLOURS,
        "colour": colour if colour in dict(COLOURS) else COLOURS[0][0],
        "temperature": generation.sampling.get("temperature", 1.0),
    }
    at = place_in(tokens, request.GET.get("at", least_likely(tokens)))
    if at is not None and generation.is_over:
        ids = beside.ids_before(generation, told, at)
        context |= panel_context(request, generation, ids, tokens, at)
    if request.htmx:
        return render(request, "playground/next_token.html#next", context)
    context |= page_context(generation, tokens)
    if beside.num_given(generation, told):
        context["given_shown"] = generation.given_text
    return render(request, "playground/next_token.html", context)


@login_required
@require_POST
def branch(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Go on from the middle of an answer with another token."""
    project = get_project(request.user, slug)
    generation = find_generation(request, project, pk)
    at, token = request.POST.get("at", ""), request.POST.get("token", "")
    # A branch becomes the version that is shown: only whose answer it is may do that.
    is_theirs = generation.created_by_id == request.user.pk
    if not is_theirs or not generation.is_over:
        raise Http404("no such answer")
    if not is_number(at) or not is_number(token):
        raise Http404("no such token")
    try:
        new = branch_answer(
            generation,
            sender=request.user,
            choice=find_choice(request.user, generation.choice_id),
            at=int(at),
            token_id=int(token),
        )
    except BranchError as error:
        messages.error(request, str(error))
    except ServingError as error:
        messages.error(request, sentence(error))
    else:
        return redirect(f"{address_of(new)}?at={int(at)}")
    return redirect(f"{address_of(generation)}?at={int(at)}")


def panel_context(
    request: SignedInRequest,
    generation: Generation,
    ids: list[int],
    tokens: list[Told],
    at: int,
) -> dict[str, Any]:
    """Return what the panel of one token shows."""
    before = "".join(token.text for token in tokens[max(0, at - 40) : at])
    try:
        choice = find_choice(request.user, generation.choice_id)
        look = next_token.look_at(choice, ids, tokens[at])
    except ServingError as error:
        return {"error": sentence(error)}
    return {
        "look": look,
        "context_shown": before[-CONTEXT_CHARACTERS:],
        "can_branch": generation.created_by_id == request.user.pk,
    }


def page_context(generation: Generation, tokens: list[Told]) -> dict[str, Any]:
    """Return what the page shows beside the panel."""
    receipt = generation.receipt or {}
    return {
        "summary": next_token.summary_of(tokens),
        "strip": next_token.strip_of(tokens),
        "strip_width": max(1, len(tokens)) * next_token.STRIP_STEP,
        "probability_legend": PROBABILITY_LEGEND,
        "entropy_legend": ENTROPY_LEGEND,
        "probability_steps": list(next_token.PROBABILITY_STEPS),
        "entropy_steps": list(next_token.ENTROPY_STEPS),
        "prompt_shown": receipt.get("rendered", "")[-MAX_PROMPT_SHOWN:],
        "num_prompt_tokens": len(receipt.get("prompt_ids", ())),
        "why_none": generation.error
        or "This answer has none, or what answered does not tell of its tokens.",
        "back_url": back_url(generation),
    }


def find_generation(request: SignedInRequest, project: Project, pk: int) -> Generation:
    """Return an answer one may look into.

    Raises:
        Http404: there is none of that number to be seen.
        PermissionDenied: it would tell which model stands where in a blind lineup.
    """
    visible = queries.generations_visible_to(request.user).filter(project=project)
    if pk >= 2**63:
        raise Http404
    generation = get_object_or_404(
        visible.select_related("message__conversation", "project", "place__lineup"),
        pk=pk,
    )
    beside.refuse_hidden(generation)
    return generation


def least_likely(tokens: list[Told]) -> str:
    """Return the place most can be learnt at: what is looked into first."""
    return str(min(tokens, key=lambda one: one.share).at) if tokens else ""


def place_in(tokens: list[Told], written: str) -> int | None:
    """Return the place an address names, if the answer has it."""
    return int(written) if is_number(written) and int(written) < len(tokens) else None


def is_number(written: str) -> bool:
    """Whether a text is a number of an id's size."""
    return written.isascii() and written.isdecimal() and len(written) <= 18


def address_of(generation: Generation) -> str:
    """Return the address of an answer's tokens."""
    slug = generation.project.slug
    return reverse("playground:next-token", args=[slug, generation.pk])


def back_url(generation: Generation) -> str:
    """Return where the answer stands: its conversation, or its lineup."""
    slug = generation.project.slug
    place = getattr(generation, "place", None)
    if place is not None:
        return reverse("playground:lineup", args=[slug, place.lineup_id])
    if generation.message is not None:
        talk = generation.message.conversation_id
        return reverse("playground:conversation", args=[slug, talk])
    return ""
