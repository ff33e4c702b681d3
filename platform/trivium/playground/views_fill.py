"""Pages of models that write nothing: masks are filled, texts are scored."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from trivium.http import SignedInRequest
from trivium.playground import filling, modes
from trivium.playground.forms_beside import FillForm, ScoreForm
from trivium.projects.models import Project
from trivium.projects.queries import get_project
from trivium.serving.choices import ModelChoice, choices_of, find_choice
from trivium.serving.errors import ChoiceNotFoundError, ServingError


@login_required
@require_safe
def open_with(request: SignedInRequest, slug: str) -> HttpResponse:
    """Go where a model can be used; stay in the mode one came from where it can."""
    project = get_project(request.user, slug)
    choice = choice_or_404(request)
    fit = modes.modes_of(project, choice)
    wanted = request.GET.get("mode", "")
    names = modes.names_of(choice)
    name = wanted if wanted in names else names[0]
    return redirect(next(one.url for one in fit if one.name == name))


@login_required
@require_safe
def show_facts(request: SignedInRequest, slug: str) -> HttpResponse:
    """Load a model before anyone asks it something, and show what a node says of it."""
    get_project(request.user, slug)
    choice = choice_or_404(request)
    context: dict[str, Any] = {"choice": choice}
    try:
        if choice.endpoint is None:
            context["facts"] = filling.facts_of(choice)
    except ServingError as error:
        context["error"] = sentence(error)
    return render(request, "playground/facts.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def fill(request: SignedInRequest, slug: str) -> HttpResponse:
    """Fill the masks of a text with an encoder; htmx gets the result alone."""
    project = get_project(request.user, slug)
    form = FillForm(request.POST or None)
    context = mode_context(request, project, modes.FILL)
    choice: ModelChoice | None = context["choice"]
    if choice is not None and form.is_valid():
        try:
            context["filled"] = filling.fill_masks(
                choice,
                form.cleaned_data["text"],
                targets=form.cleaned_data["targets"],
                is_joint=form.cleaned_data["is_joint"],
            )
        except filling.NoMaskError as error:
            form.add_error("text", str(error))
        except ServingError as error:
            context["error"] = sentence(error)
    return answer(request, "playground/fill.html", context | {"form": form}, form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def score(request: SignedInRequest, slug: str) -> HttpResponse:
    """Let a classifier or reward model judge a text; htmx gets the result alone."""
    project = get_project(request.user, slug)
    form = ScoreForm(request.POST or None)
    context = mode_context(request, project, modes.SCORE)
    choice: ModelChoice | None = context["choice"]
    if choice is not None and form.is_valid():
        try:
            context["score"] = filling.score_text(
                choice, form.cleaned_data["text"], asked=form.cleaned_data["asked"]
            )
        except ServingError as error:
            context["error"] = sentence(error)
    return answer(request, "playground/score.html", context | {"form": form}, form)


def answer(
    request: SignedInRequest, template: str, context: dict[str, Any], form: forms.Form
) -> HttpResponse:
    """Render a page, or its result alone."""
    # htmx shows no answer of 4xx, so a form that is wrong still answers it 200.
    status = 422 if form.errors and not request.htmx else 200
    return render(
        request, template + ("#result" if request.htmx else ""), context, status=status
    )


def mode_context(
    request: SignedInRequest, project: Project, name: str
) -> dict[str, Any]:
    """Return what the pages of all modes show: the model, the others, the switch."""
    choices = choices_of(request.user, project)
    choice = chosen(request, choices, name)
    return {
        "project": project,
        "mode": name,
        "choice": choice,
        "choices": modes.grouped(choices),
        "modes": modes.modes_of(project, choice) if choice else [],
    }


def chosen(
    request: SignedInRequest, choices: list[ModelChoice], name: str
) -> ModelChoice | None:
    """Return the model the address names, or the newest that fits the mode.

    Raises:
        Http404: the one it names is not there, or cannot be used in this mode.
    """
    if request.GET.get("model"):
        choice = choice_or_404(request)
        if name not in modes.names_of(choice):
            raise Http404("this model cannot be used so")
        return choice
    return next((one for one in choices if name in modes.names_of(one)), None)


def choice_or_404(request: SignedInRequest) -> ModelChoice:
    """Return the model the address names; Http404 where there is none to be seen."""
    return find_or_404(request, request.GET.get("model", ""))


def find_or_404(request: SignedInRequest, choice_id: str) -> ModelChoice:
    """Return a model by its id; Http404 where there is none to be seen."""
    try:
        return find_choice(request.user, choice_id)
    except ChoiceNotFoundError as error:
        raise Http404(str(error)) from error


def sentence(error: ServingError) -> str:
    """Return what went wrong as a sentence."""
    text = error.event.message
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
