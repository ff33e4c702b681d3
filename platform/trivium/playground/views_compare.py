"""Two to four models side by side on one prompt, blind where asked."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from runspec.serving import Prompt, Sampling

from trivium.comparisons import lineups
from trivium.comparisons import services as comparisons
from trivium.comparisons.models import Lineup, Vote
from trivium.http import SignedInRequest
from trivium.playground import beside, modes
from trivium.playground.forms_beside import CompareForm, VoteForm
from trivium.playground.models import Generation
from trivium.playground.views_fill import find_or_404
from trivium.projects.models import Project
from trivium.projects.queries import get_project
from trivium.runs.models import Run
from trivium.serving.choices import (
    LEARNERS,
    ModelChoice,
    checkpoint_choices,
    choices_of,
)

MAX_RUNS = 20
"""Newest runs whose checkpoints are offered."""
KEPT = ("temperature", "max_tokens", "seed", "is_blind")
"""Settings the address carries beside choices and prompt."""


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def compare(request: SignedInRequest, slug: str) -> HttpResponse:
    """Choose models and ask them; the address carries the choices."""
    project = get_project(request.user, slug)
    if request.method == "POST":
        return start(request, project)
    given = {
        name: request.GET[name] for name in ("prompt", *KEPT) if name in request.GET
    }
    form = CompareForm(initial=given)
    return compare_page(request, project, form, asked_for(request, request.GET))


@login_required
@require_http_methods(["GET", "HEAD"])
def lineup_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show answers side by side; what is not there yet streams in."""
    project = get_project(request.user, slug)
    lineup = find_lineup(request, project, pk)
    answers = lineups.answers_of(lineup)
    first = min(answers, key=lambda answer: answer.pk)
    cast = standing_vote(request, lineup)
    sampling = first.sampling
    asked = beside.asked_of(first)
    prompt = asked if isinstance(asked, str) else asked[-1]["content"]
    initial = {"prompt": prompt, "is_blind": lineup.is_blind}
    initial |= {name: sampling.get(name) for name in KEPT[:3]}
    choices = asked_for(request, request.GET)
    if not choices and not lineup.hides_names:
        choices = [
            find_or_404(request, answer.choice_id)
            for answer in sorted(answers, key=lambda answer: answer.pk)
        ]
    extra = {
        "lineup": lineup,
        "prompt": prompt,
        "seed": sampling.get("seed"),
        "sides": sides_of(lineup, answers, cast),
        "vote": cast,
        "said": said_in(cast) if cast else "",
        "vote_key": uuid.uuid4().hex,
        "are_over": all(answer.is_over for answer in answers),
    }
    return compare_page(request, project, CompareForm(initial=initial), choices, extra)


@login_required
@require_POST
def vote(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Say which side of a blind lineup was better; then its names are shown."""
    project = get_project(request.user, slug)
    lineup = find_lineup(request, project, pk)
    form = VoteForm(request.POST)
    if not form.is_valid():
        messages.error(request, "That was no vote. Choose one of the buttons.")
        return back_to(lineup, request.GET)
    try:
        cast = lineups.vote_on_lineup(
            lineup=lineup,
            labeler=request.user,
            preferred=form.cleaned_data["preferred"],
            ms_active=form.cleaned_data["ms_active"] or 0,
            key=form.cleaned_data["key"],
        )
    except (lineups.VoteRefusedError, comparisons.VoteConflictError) as error:
        text = str(error)
        messages.error(request, text[:1].upper() + text[1:])
    else:
        if cast is None:
            messages.info(
                request, "Both gave the same answer, so there was nothing to choose."
            )
    return back_to(lineup, request.GET)


@login_required
@require_POST
def reveal(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show the names of a blind lineup without a vote."""
    lineup = find_lineup(request, get_project(request.user, slug), pk)
    lineups.reveal_lineup(lineup)
    return back_to(lineup, request.GET)


@login_required
@require_POST
def undo_vote(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Take one's vote on a lineup back."""
    lineup = find_lineup(request, get_project(request.user, slug), pk)
    cast = standing_vote(request, lineup)
    if cast is not None and lineups.take_vote_back(cast):
        messages.success(request, "Your vote was taken back; it no longer counts.")
    return back_to(lineup, request.GET)


def start(request: SignedInRequest, project: Project) -> HttpResponse:
    """Ask the chosen models, and go where their answers stream."""
    form = CompareForm(request.POST)
    choices = asked_for(request, request.POST)
    if len(choices) < 2:
        form.add_error(None, "Choose at least two different models.")
    if any(not choice.can_write for choice in choices):
        form.add_error(None, "Choose models that write text.")
    if form.is_valid() and form.cleaned_data["is_blind"] and len(choices) > 2:
        form.add_error("is_blind", "A blind comparison is between two models.")
    if not form.is_valid():
        return compare_page(request, project, form, choices)
    asked = form.cleaned_data
    lineup = lineups.start_lineup(
        project=project,
        created_by=request.user,
        choices=choices,
        prompt=prompt_for(choices, asked["prompt"]),
        sampling=Sampling(
            **{name: asked[name] for name in KEPT[:3] if asked[name] is not None}
        ),
        is_blind=asked["is_blind"],
    )
    query = QueryDict(mutable=True)
    query.setlist("choice", [choice.id for choice in choices])
    return back_to(lineup, query)


def prompt_for(choices: list[ModelChoice], text: str) -> Prompt:
    """Return the one prompt all are given.

    Where one of them was never taught to converse, all go on with the bare text.
    """
    if any(modes.names_of(choice)[0] != modes.CHAT for choice in choices):
        return Prompt(text=text)
    return Prompt(messages=({"role": "user", "content": text},))


def asked_for(request: SignedInRequest, source: QueryDict) -> list[ModelChoice]:
    """Return the models named, each once, and at most four.

    Raises:
        Http404: one of them is not there to be seen.
    """
    ids = list(dict.fromkeys(filter(None, source.getlist("choice"))))
    return [find_or_404(request, one) for one in ids[: lineups.MOST]]


def compare_page(
    request: SignedInRequest,
    project: Project,
    form: CompareForm,
    chosen: list[ModelChoice],
    extra: dict[str, Any] | None = None,
) -> HttpResponse:
    """Render the page."""
    offered = offered_in(request, project, chosen)
    slots = [*chosen, *[None] * lineups.MOST][: lineups.MOST]
    context = {
        "project": project,
        "mode": "compare",
        "form": form,
        "groups": groups_of(offered),
        "num_offered": len(offered),
        "slots": list(zip("ABCD", slots, strict=True)),
        "continues_text": bool(chosen) and prompt_for(chosen, "x").text is not None,
        "chosen_query": urlencode([("choice", choice.id) for choice in chosen]),
        **(extra or {}),
    }
    status = 422 if form.errors else 200
    return render(request, "playground/compare.html", context, status=status)


def offered_in(
    request: SignedInRequest, project: Project, chosen: list[ModelChoice]
) -> list[ModelChoice]:
    """Return what can be compared: models, and checkpoints of the newest runs.

    Checkpoints are looked up on the disk, so not those of every run there ever was;
    the runs of what is chosen are among them.
    """
    runs = Run.objects.filter(project=project, kind__in=LEARNERS)
    runs = runs.filter(checkpoints__isnull=False).distinct().order_by("-pk")
    shown = {run.pk: run for run in runs[:MAX_RUNS]}
    shown |= {
        one.run.pk: one.run
        for one in chosen
        if one.run is not None and one.step is not None
    }
    found = choices_of(request.user, project)
    for run in shown.values():
        found += checkpoint_choices(run)
    return [one for one in found if one.can_write]


def groups_of(offered: list[ModelChoice]) -> list[tuple[str, list[ModelChoice]]]:
    """Return models, then each run's checkpoints in their order, for the selects."""
    models = [one for one in offered if one.step is None]
    runs: dict[int, list[ModelChoice]] = {}
    for one in offered:
        if one.run is not None and one.step is not None:
            runs.setdefault(one.run.pk, []).append(one)
    groups = [("Models", models)] if models else []
    for pk, steps in runs.items():
        steps.sort(key=lambda one: one.step or 0)
        assert steps[0].run is not None
        groups.append((f"Checkpoints of run {pk}: {steps[0].run.name}", steps))
    return groups


def sides_of(
    lineup: Lineup, answers: list[Generation], cast: Vote | None
) -> list[dict[str, Any]]:
    """Return what is shown of each answer; no name while they are hidden."""
    return [
        {
            "letter": "ABCD"[at],
            "number": at + 1,
            "generation": answer,
            "title": "" if lineup.hides_names else answer.choice_title,
            "is_over": answer.is_over,
            "is_preferred": cast is not None and answer.pk == preferred_in(cast),
            "error": answer.error,
            "told": beside.took(answer),
        }
        for at, answer in enumerate(answers)
    ]


def preferred_in(cast: Vote) -> int | None:
    """Return the generation a vote prefers, if it prefers one."""
    compared = cast.comparison
    chosen = {"a": compared.answer_a_id, "b": compared.answer_b_id}
    return chosen.get(cast.choice)


def said_in(cast: Vote) -> str:
    """Return a vote in the letters the page has, from left to right."""
    if cast.choice not in {"a", "b"}:
        return cast.get_choice_display()
    letter = "A" if cast.choice == cast.shown_left else "B"
    return f"{letter} is better"


def standing_vote(request: SignedInRequest, lineup: Lineup) -> Vote | None:
    """Return the vote of whoever looks, if it stands."""
    if lineup.comparison is None:
        return None
    return lineup.comparison.votes.filter(labeler=request.user, undone=None).first()


def find_lineup(request: SignedInRequest, project: Project, pk: int) -> Lineup:
    """Return a lineup of one's own; Http404 where there is none of that number."""
    mine = Lineup.objects.filter(project=project, created_by=request.user)
    if pk >= 2**63:
        raise Http404
    return get_object_or_404(mine.select_related("project", "comparison"), pk=pk)


def back_to(lineup: Lineup, query: QueryDict) -> HttpResponse:
    """Go to a lineup's page, with the choices in its address."""
    address = reverse("playground:lineup", args=[lineup.project.slug, lineup.pk])
    chosen = urlencode([("choice", one) for one in query.getlist("choice")])
    return redirect(f"{address}?{chosen}" if chosen else address)
