"""Pages on which a model goes on with a text, or makes another of it."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from runspec.serving import Prompt, Sampling

from trivium.http import SignedInRequest
from trivium.playground import modes
from trivium.playground.forms_beside import WriteForm
from trivium.playground.models import Generation
from trivium.playground.services import generate
from trivium.playground.views_fill import mode_context
from trivium.playground.views_next import address_of
from trivium.projects.models import Project
from trivium.projects.queries import get_project
from trivium.serving.choices import ModelChoice

TEMPERATURES = {modes.COMPLETE: 0.8, modes.REWRITE: 0.0}
SAMPLING = ("temperature", "top_p", "max_tokens", "seed")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def complete(request: SignedInRequest, slug: str) -> HttpResponse:
    """Have a decoder go on with a text."""
    return write(request, slug, modes.COMPLETE)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rewrite(request: SignedInRequest, slug: str) -> HttpResponse:
    """Have an encoder-decoder make another text of one."""
    return write(request, slug, modes.REWRITE)


def write(request: SignedInRequest, slug: str, mode: str) -> HttpResponse:
    """Show a text's page, or begin to write and say where it can be read.

    A script gets the addresses; without one the answer's own page shows how it comes.
    """
    project = get_project(request.user, slug)
    context = mode_context(request, project, mode)
    choice: ModelChoice | None = context["choice"]
    if request.method != "POST":
        given = {"text": request.GET.get("text", ""), "temperature": TEMPERATURES[mode]}
        return write_page(request, context, WriteForm(initial=given))
    form = WriteForm(request.POST)
    wants_json = request.headers.get("Accept") == "application/json"
    if choice is None or not form.is_valid():
        if wants_json:
            return JsonResponse({"error": first_error(form)}, status=422)
        return write_page(request, context, form)
    answer = begin(request, project, choice, form.cleaned_data)
    if not wants_json:
        return redirect(address_of(answer))
    told = {"id": answer.pk, "tokens": address_of(answer)}
    for name in ("events", "stop"):
        told[name] = reverse(f"playground:{name}", args=[slug, answer.pk])
    return JsonResponse(told, status=201)


def begin(
    request: SignedInRequest,
    project: Project,
    choice: ModelChoice,
    asked: dict[str, Any],
) -> Generation:
    """Write down what shall be written; the first reader sets it going."""
    chosen = {name: asked[name] for name in SAMPLING if asked[name] is not None}
    return generate(
        project=project,
        sender=request.user,
        choice=choice,
        prompt=Prompt(text=asked["text"]),
        sampling=Sampling(**chosen),
    )


def first_error(form: WriteForm) -> str:
    """Return what is wrong, as a sentence."""
    for name, errors in form.errors.items():
        label = form.fields[name].label or name.replace("_", " ").capitalize()
        return f"{label}: {errors[0]}"
    return "No model here can do this."


def write_page(
    request: SignedInRequest, context: dict[str, Any], form: WriteForm
) -> HttpResponse:
    """Render the page."""
    context |= {"form": form, "title": modes.LABELS[context["mode"]]}
    status = 422 if form.errors else 200
    return render(request, "playground/write.html", context, status=status)
