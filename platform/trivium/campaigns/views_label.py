"""The labeling page: one comparison at a time, by keyboard.

Each POST of the page's script is answered with the tasks the labeler holds now, as
HTML; without script the same forms lead back to the page.
"""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from trivium.campaigns import handing_out, voting
from trivium.campaigns.access import Seat, require_labeler, take_seat
from trivium.campaigns.errors import LabelingError
from trivium.campaigns.models import Assignment, Labeler
from trivium.campaigns.queries import progress_of, votes_to_end
from trivium.campaigns.refreshing import has_its_votes
from trivium.campaigns.showing import (
    SIDES,
    details_of,
    is_quick,
    shown,
    to_answer,
)
from trivium.comparisons.models import Vote
from trivium.comparisons.services import VoteConflictError
from trivium.http import SignedInRequest
from trivium.models.card import markdown_html

SKIP_REASONS = (
    "I cannot tell",
    "I do not know the subject",
    "I cannot read this language",
    "I would rather not read this",
)
FLAG_REASONS = (
    "An answer names itself",
    "An answer is broken or cut off",
    "The prompt makes no sense",
    "It holds private data",
    "It is harmful and was not marked so",
)
CHOICES = (*SIDES, Vote.Choice.TIE, Vote.Choice.BOTH_BAD)
CONFLICT = 409


@login_required
@require_safe
def label(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show the next comparison, with the one after it behind."""
    seat = labelers_seat(request, slug, pk)
    labeler = handing_out.labeler_in(seat.campaign, request.user)
    guideline = seat.campaign.guidelines.last()
    progress = progress_of(seat.campaign)
    context = {
        **tasks_context(seat),
        "labeler": labeler,
        "progress": progress,
        "num_wanted": votes_to_end(seat.campaign, progress),
        "guideline": guideline,
        "guidelines_html": markdown_html(guideline.text) if guideline else "",
        "skip_reasons": SKIP_REASONS,
        "flag_reasons": FLAG_REASONS,
        "is_new_here": not labeler.num_tasks,
    }
    return render(request, "campaigns/label.html", context)


@login_required
@require_POST
def cast(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Take a vote, and answer with what is next."""
    seat = labelers_seat(request, slug, pk)
    side = request.POST.get("choice", "")
    if side not in CHOICES:
        return refused(request, seat, "Choose a side, a tie, or both bad.", 422)
    task = voting.task_of(request.user, request.POST.get("key", ""))
    if task is None:
        if was_counted(request):  # the answer was lost on its way, or it was undone
            return answered(request, seat)
        gone = "This task is not yours any more. Here is the next one."
        return refused(request, seat, gone, CONFLICT)
    try:
        voting.count_vote(
            task,
            choice=to_answer(side, task.shown_left),
            details=details_of(request.POST, task.shown_left),
            ms_active=whole(request.POST.get("ms_active", "")),
        )
    except (LabelingError, VoteConflictError) as error:
        return refused(request, seat, sentence(error), CONFLICT)
    return answered(request, seat)


@login_required
@require_POST
def undo(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Take the last vote or skip back; its task comes first again."""
    seat = labelers_seat(request, slug, pk)
    try:
        task = voting.undo(campaign=seat.campaign, labeler=request.user)
    except LabelingError as error:
        return refused(request, seat, sentence(error), CONFLICT)
    return answered(request, seat, first=task)


@login_required
@require_POST
def skip(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Leave a task to others."""
    seat = labelers_seat(request, slug, pk)
    try:
        voting.skip(
            labeler=request.user,
            key=request.POST.get("key", ""),
            reason=request.POST.get("reason", ""),
        )
    except LabelingError as error:
        return refused(request, seat, sentence(error), CONFLICT)
    return answered(request, seat)


@login_required
@require_POST
def flag(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Ask for a second look; the task stays."""
    seat = labelers_seat(request, slug, pk)
    reason = request.POST.get("reason", "").strip()
    if not reason:
        return refused(request, seat, "Say what is wrong with it.", 422)
    try:
        voting.flag(
            labeler=request.user, key=request.POST.get("key", ""), reason=reason
        )
    except LabelingError as error:
        return refused(request, seat, sentence(error), CONFLICT)
    if not is_scripted(request):
        messages.success(request, "Flagged. Somebody will look at it.")
    return answered(request, seat)


@login_required
@require_POST
def save_draft(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Keep what is filled in; it renews the lease as well."""
    labelers_seat(request, slug, pk)
    task = voting.task_of(request.user, request.POST.get("key", ""))
    if task is None:
        return JsonResponse({"kept": False}, status=CONFLICT)
    details = details_of(request.POST, task.shown_left).model_dump(mode="json")
    choice = to_answer(request.POST.get("choice", ""), task.shown_left)
    try:
        voting.save_draft(
            labeler=request.user, key=task.key, draft={**details, "choice": choice}
        )
    except LabelingError as error:
        return JsonResponse({"kept": False, "why": str(error)}, status=CONFLICT)
    return JsonResponse({"kept": True})


@login_required
@require_POST
def stay(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Renew the leases of somebody who is still reading."""
    seat = labelers_seat(request, slug, pk)
    return JsonResponse({"held": handing_out.renew(seat.campaign, request.user)})


@login_required
@require_POST
def accept(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Say which categories of harmful content one is willing to be shown."""
    seat = labelers_seat(request, slug, pk)
    chosen = set(request.POST.getlist("category")) & set(seat.campaign.categories)
    labeler = handing_out.labeler_in(seat.campaign, request.user)
    Labeler.objects.filter(pk=labeler.pk).update(accepts=sorted(chosen))
    return redirect("campaigns:label", slug, pk)


# Pieces ------------------------------------------------------------------------------


def labelers_seat(request: SignedInRequest, slug: str, pk: int) -> Seat:
    """Return the place of somebody who may vote.

    Raises:
        Http404, PermissionDenied: they may not.
    """
    return require_labeler(take_seat(request.user, slug, pk))


def was_counted(request: SignedInRequest) -> bool:
    """Whether a vote came with the key that was sent."""
    key = request.POST.get("key", "")
    return Vote.objects.filter(key=key, labeler=request.user).exists()


def tasks_context(seat: Seat, first: Assignment | None = None) -> dict[str, Any]:
    """Return what the page shows of the tasks somebody holds."""
    held = handing_out.tasks_for(seat.campaign, seat.user)
    if first is not None:
        held.sort(key=lambda task: task.pk != first.pk)
    mine = Assignment.objects.filter(
        campaign=seat.campaign, labeler=seat.user, state=Assignment.State.VOTED
    )
    return {
        "project": seat.project,
        "campaign": seat.campaign,
        "seat": seat,
        "tasks": [shown(task) for task in held],
        "num_mine": mine.count(),
        "is_quick": is_quick(seat.campaign),
        "has_its_votes": not held and has_its_votes(seat.campaign),
        "is_harm_spent": handing_out.is_harm_spent(seat.campaign, seat.user),
    }


def answered(
    request: SignedInRequest, seat: Seat, first: Assignment | None = None
) -> HttpResponse:
    """Answer a script with the tasks held now, and a form with the page."""
    if not is_scripted(request):
        return redirect("campaigns:label", seat.project.slug, seat.campaign.pk)
    context = tasks_context(seat, first)
    return render(request, "campaigns/label.html#tasks", context)


def refused(
    request: SignedInRequest, seat: Seat, text: str, status: int
) -> HttpResponse:
    """Say why something was not done, and what is next."""
    if not is_scripted(request):
        messages.error(request, text)
        return redirect("campaigns:label", seat.project.slug, seat.campaign.pk)
    context = {**tasks_context(seat), "refused": text}
    return render(request, "campaigns/label.html#tasks", context, status=status)


def is_scripted(request: SignedInRequest) -> bool:
    """Whether the page's script asks."""
    return request.headers.get("X-Label") == "script"


def whole(text: str) -> int:
    """Return a number of milliseconds, or none."""
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def sentence(error: Exception) -> str:
    """Return an error as a sentence."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
