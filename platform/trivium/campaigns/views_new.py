"""Making a campaign, adding answers to one, and changing its settings."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST
from runspec.serving import Sampling

from trivium.campaigns.access import Seat, engineers_seat
from trivium.campaigns.forms import (
    MAX_GUIDELINES,
    AnswererForm,
    NewCampaignForm,
    PromptsForm,
    SettingsForm,
    answerer_forms,
    answerers_of,
)
from trivium.campaigns.making import revise_campaign
from trivium.campaigns.models import Campaign
from trivium.campaigns.starting import bring_answers, start_campaign
from trivium.campaigns.tabs import render_tab
from trivium.http import SignedInRequest, add_form_error
from trivium.models.card import markdown_html
from trivium.playground.views_compare import groups_of, offered_in
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.errors import SubmitError
from trivium.runs.fields import with_plain_ends

ANSWERER_FIELDS = {"answerers", "samplings"}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: SignedInRequest, slug: str) -> HttpResponse:
    """Make a campaign and queue the answers to its prompts, in one go."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    form = NewCampaignForm(request.POST or None, project=project)
    places = answerer_forms(request.POST or None)
    wrong = ""
    if request.method == "POST":
        answerers, wrong = checked(form, places)
        if form.is_valid() and not wrong:
            try:
                campaign = make(request, project, form, answerers)
            except SubmitError as error:
                wrong = explain(form, error)
            else:
                messages.success(
                    request,
                    f"{campaign} is open. Comparisons appear as soon as their answers "
                    "are written.",
                )
                return redirect("campaigns:detail", slug, campaign.pk)
    context = {"project": project, "form": form, "answerers_error": wrong}
    context |= answerer_context(request, project, places)
    status = 422 if form.errors or wrong else 200
    return render(request, "campaigns/new.html", context, status=status)


def checked(
    form: PromptsForm, places: list[AnswererForm]
) -> tuple[list[tuple[str, Sampling]], str]:
    """Return who answers, and what is wrong with the choice."""
    form.is_valid()
    return answerers_of(places, has_pairs=form.has_pairs)


def make(
    request: SignedInRequest,
    project: Project,
    form: NewCampaignForm,
    answerers: list[tuple[str, Sampling]],
) -> Campaign:
    """Start the campaign a form describes."""
    given = form.cleaned_data
    return start_campaign(
        project=project,
        created_by=request.user,
        prompts=given["version"] or given["lines"],
        answerers=answerers,
        max_prompts=given["max_prompts"],
        name=given["name"],
        questions=form.questions(),
        guidelines=with_plain_ends(given["guidelines"]),
        labelers=form.invited(),
        **form.settings(),
    )


def explain(form: PromptsForm, error: SubmitError) -> str:
    """Put an error beside its field; return it where that is who answers."""
    if error.field not in ANSWERER_FIELDS:
        add_form_error(form, error)
        return ""
    text = str(error).partition(": ")[2] or str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def answerer_context(
    request: SignedInRequest, project: Project, places: list[AnswererForm]
) -> dict[str, Any]:
    """Return the places of answerers, and what can be chosen for them."""
    offered = offered_in(request, project, [])
    chosen = [one["choice"].value() or "" for one in places]
    return {
        "places": list(zip(places, chosen, strict=True)),
        "num_chosen": sum(map(bool, chosen)),
        "groups": groups_of(offered),
        "num_offered": len(offered),
    }


@login_required
@require_POST
def preview_guidelines(request: SignedInRequest, slug: str) -> HttpResponse:
    """Draw Markdown as labelers will see it; nothing is stored."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    text = request.POST.get("guidelines", request.POST.get("text", ""))
    context = {"html": markdown_html(text[:MAX_GUIDELINES])}
    return render(request, "campaigns/preview.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def add_batch(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Bring more comparisons into a campaign."""
    seat = engineers_seat(request.user, slug, pk)
    form = PromptsForm(request.POST or None, project=seat.project)
    places = answerer_forms(request.POST or None)
    wrong = ""
    if request.method == "POST":
        answerers, wrong = checked(form, places)
        if form.is_valid() and not wrong:
            given = form.cleaned_data
            try:
                bring_answers(
                    seat.campaign,
                    actor=request.user,
                    prompts=given["version"] or given["lines"],
                    answerers=answerers,
                    max_prompts=given["max_prompts"],
                )
            except SubmitError as error:
                wrong = explain(form, error)
            else:
                messages.success(request, "The answers are queued.")
                return redirect("campaigns:detail", slug, pk)
    context = {"form": form, "answerers_error": wrong}
    context |= answerer_context(request, seat.project, places)
    status = 422 if form.errors or wrong else 200
    return render_tab(
        request,
        seat,
        "detail",
        context,
        template="campaigns/tabs/answers.html",
        status=status,
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_settings(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Change what a campaign asks, of whom, and how often."""
    seat = engineers_seat(request.user, slug, pk)
    form = SettingsForm(
        request.POST or None, project=seat.project, campaign=seat.campaign
    )
    if request.method == "POST" and form.is_valid():
        try:
            store(seat, form)
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, "The settings were saved.")
            return redirect("campaigns:settings", slug, pk)
    status = 422 if form.errors else 200
    return render_tab(request, seat, "settings", {"form": form}, status=status)


def store(seat: Seat, form: SettingsForm) -> None:
    """Write the settings that differ.

    Raises:
        SubmitError: another campaign has the name.
    """
    revise_campaign(
        seat.campaign,
        name=form.cleaned_data["name"],
        questions=form.questions().model_dump(mode="json"),
        labelers=form.invited(),
        **form.settings(),
    )
