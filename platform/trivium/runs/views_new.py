"""The page that queues a run: a form read off the spec, and what it would cost."""

from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from runspec import DpoSpec, PretrainSpec, RewardSpec, RlhfSpec, SftSpec, Spec
from runspec.families import ARCHITECTURES, FAMILIES, FamilyFacts, families_of
from runspec.sizing import PRESETS

from trivium.http import SignedInRequest, add_form_error, as_id
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs import kinds
from trivium.runs.applying import ALIGNS, RATES
from trivium.runs.errors import SubmitError
from trivium.runs.forms import SpecForm, typed_settings
from trivium.runs.models import Run
from trivium.runs.objectives import Objective, objective_of
from trivium.runs.outlook import Outlook, TuningOutlook, outlook, tuning_outlook
from trivium.runs.preflights import changes_of, training_of
from trivium.runs.previews import preview_of

KINDS = {
    "tokenizer": "Tokenizer",
    "pretrain": "Pretraining",
    "sft": "Fine-tuning",
    "dpo": "Alignment (DPO)",
    "reward": "Reward model",
    "rlhf": "Alignment (RLHF)",
}
TUNES = ("sft", *ALIGNS)
"""Kinds that start from a model and learn from rows."""
STARTS = {
    "tokenizer": "Train the tokenizer",
    "pretrain": "Start pretraining",
    "sft": "Start fine-tuning",
    "dpo": "Start alignment",
    "reward": "Train the reward model",
    "rlhf": "Start alignment",
}
TITLES = {
    "decoder": "Decoder",
    "encoder": "Encoder",
    "encoder-decoder": "Encoder-decoder",
}
SIZES = ("tiny", "small", "medium")
"""Presets that say how large, whatever the family; others are models of their own."""
TASKS = {
    "chat": "reads from left to right, so it learns to answer in a conversation",
    "text-to-text": "reads a text and writes another, so it learns pairs of texts",
    "classification": "reads a text both ways, so it learns to name its label",
}


class Card(NamedTuple):
    """An architecture or a family to choose."""

    name: str
    title: str
    help: str
    is_chosen: bool


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create_run(request: SignedInRequest, slug: str) -> HttpResponse:
    """Queue a run of `?kind=`; `?from=` a run or `?preset=` fills the form.

    The button `check` queues its preflight alone.
    """
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    kind = chosen_kind(request)
    settings, name = first_values(request, project, kind)
    form = SpecForm(
        project, kind, request.POST or None, settings=settings, initial={"name": name}
    )
    if request.method == "POST" and form.is_valid():
        try:
            run = queue_run(request, project, form)
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, f"{run.name} is queued.")
            return redirect("runs:detail", slug, run.pk)
    return render(request, "runs/new.html", page_context(request, project, form))


def queue_run(request: SignedInRequest, project: Project, form: SpecForm) -> Run:
    """Start what the form describes, or only its check."""
    spec: Spec = form.cleaned_data["spec"]
    name: str = form.cleaned_data["name"]
    if spec.has_preflight and "check" in request.POST:
        name = name or name_of_check(form)
        spec = kinds.preflight_for(spec)
    return kinds.start_run(
        project=project, created_by=request.user, spec=spec, name=name
    )


def name_of_check(form: SpecForm) -> str:
    """Return a name that tells what is checked; no model is made to name it by."""
    chosen = [one.version.dataset.name for one in form.ingredients if one.is_chosen]
    spec: Spec = form.cleaned_data["spec"]
    first = str(form.start) if form.start else str(getattr(spec, "family", spec.kind))
    return " ".join([first, *chosen[:1]])[:200]


@login_required
@require_POST
def redraw_form(request: SignedInRequest, slug: str) -> HttpResponse:
    """Draw the form anew after a choice that decides on other settings.

    What was typed stays, as far as it still applies; nothing is checked or stored.
    """
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    kind = chosen_kind(request)
    settings = typed_settings(kind, request.POST)
    if kind == "pretrain":
        settings = with_architecture(settings, request.POST.get("architecture", ""))
        settings |= preset_values(request, settings)
    elif kind == "sft" and request.htmx.trigger_name == "method":
        settings = with_usual_rate(settings)
    name = request.POST.get("name", "")
    form = SpecForm(project, kind, settings=settings, initial={"name": name})
    template = "runs/new.html#fields" if request.htmx else "runs/new.html"
    response = render(request, template, page_context(request, project, form))
    # The panels beside the form wait for this.
    response["HX-Trigger-After-Settle"] = "redrawn"
    return response


def with_architecture(settings: dict[str, Any], asked: str) -> dict[str, Any]:
    """Return settings with the first family of another architecture, if asked."""
    chosen = FAMILIES.get(settings.get("family", ""))
    for name in ARCHITECTURES:
        if name == asked and (chosen is None or chosen.architecture != asked):
            return settings | {"family": families_of(name)[0]}
    return settings


def with_usual_rate(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the method's learning rate, unless another was typed."""
    try:
        is_usual = float(settings.get("learning_rate", "")) in RATES.values()
    except ValueError:
        return settings
    rate = RATES.get(settings.get("method", ""))
    return settings | {"learning_rate": rate} if rate and is_usual else settings


@login_required
@require_POST
def estimate_run(request: SignedInRequest, slug: str) -> HttpResponse:
    """Draw the panel anew for the values typed so far; nothing is stored."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    form = SpecForm(project, chosen_kind(request), request.POST)
    context = {
        "form": form,
        "kind": form.kind,
        "is_tuning": form.kind in TUNES,
    } | panel_context(project, form)
    return render(request, "runs/new.html#estimate", context)


@login_required
@require_POST
def preview_template(request: SignedInRequest, slug: str) -> HttpResponse:
    """Draw a sample as the model will read it, for the values typed so far."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    form = SpecForm(project, chosen_kind(request), request.POST)
    return render(request, "runs/new.html#preview", {"preview": preview_of(form)})


def chosen_kind(request: SignedInRequest) -> str:
    """Return the kind the address names."""
    kind = request.GET.get("kind", "pretrain")
    if kind not in KINDS:
        raise Http404("no such kind of run")
    return kind


def first_values(
    request: SignedInRequest, project: Project, kind: str
) -> tuple[dict[str, Any], str]:
    """Return settings and name to begin with: of another run, a preset, or ids."""
    source = as_id(request.GET.get("from", ""))
    run = Run.objects.filter(project=project, pk=source or 0).first()
    if run is not None and training_of(run).get("kind") == kind:
        changes = changes_of(run, request.GET.get("mend", ""))
        return training_of(run) | changes, run.name if run.is_finished else ""
    single = ("dataset", "tokenizer", "model", "base_model")
    settings: dict[str, Any] = {
        key: request.GET[key] for key in single if key in request.GET
    }
    if "datasets" in request.GET:
        settings["datasets"] = request.GET.getlist("datasets")
    if kind == "pretrain":
        settings |= preset_values(request, settings)
    return settings, ""


def preset_values(request: SignedInRequest, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the preset in the address fills in; a size keeps the architecture."""
    name = request.GET.get("preset", "")
    values = PRESETS.get(name, {})
    chosen = FAMILIES.get(settings.get("family", ""))
    is_other = chosen is not None and chosen.architecture != "decoder"
    if name in SIZES and is_other:
        return {key: value for key, value in values.items() if key != "family"}
    return dict(values)


def presets(request: SignedInRequest, family: str) -> list[dict[str, Any]]:
    """Return the presets that fit a family's architecture."""
    chosen = request.GET.get("preset")
    architecture = FAMILIES[family].architecture if family in FAMILIES else "decoder"
    return [
        {"name": name, "is_chosen": name == chosen}
        for name, values in PRESETS.items()
        if name in SIZES or FAMILIES[values["family"]].architecture == architecture
    ]


def page_context(
    request: SignedInRequest, project: Project, form: SpecForm
) -> dict[str, Any]:
    """Return all the page of a new run shows."""
    kind = form.kind
    redraw = reverse("runs:redraw", args=[project.slug]) + f"?kind={kind}"
    form.redraw_at(redraw)
    family = form.decided.get("family") or str(form.value_of("family"))
    is_fresh = kind == "pretrain" and form.start is None
    context = {
        "project": project,
        "form": form,
        "kind": kind,
        "kinds": KINDS,
        "start": STARTS[kind],
        "redraw": redraw,
        "presets": presets(request, family) if is_fresh else [],
        "architectures": architecture_cards(family) if is_fresh else [],
        "families": family_cards(family) if is_fresh else [],
        "has_preflight": form.model.has_preflight,
        "has_dataset": project.datasets.exists(),
        "has_tokenizer": kind != "pretrain" or project.tokenizers.exists(),
        "is_tuning": kind in TUNES,
        "has_model": kind not in TUNES or project.models.exists(),
        "task_text": TASKS.get(form.task, ""),
    }
    return context | panel_context(project, form)


def architecture_cards(family: str) -> list[Card]:
    """Return the architectures, that of the family chosen."""
    chosen = FAMILIES.get(family)
    return [
        Card(
            name, TITLES[name], text, chosen is not None and chosen.architecture == name
        )
        for name, text in ARCHITECTURES.items()
    ]


def family_cards(family: str) -> list[Card]:
    """Return the families of the chosen one's architecture."""
    chosen: FamilyFacts = FAMILIES.get(family, FAMILIES["llama"])
    return [
        Card(name, FAMILIES[name].title, FAMILIES[name].help, name == family)
        for name in families_of(chosen.architecture)
    ]


def panel_context(project: Project, form: SpecForm) -> dict[str, Any]:
    """Return what the panel shows for a form's values; nothing of wrong ones."""
    spec = spec_of(project, form)
    found: Outlook | TuningOutlook | None = None
    objective: Objective | None = None
    if isinstance(spec, PretrainSpec):
        found, objective = outlook(project, spec), objective_of(spec)
    elif isinstance(spec, SftSpec | DpoSpec | RewardSpec | RlhfSpec):
        found = tuning_outlook(project, spec)
    return {"outlook": found, "objective": objective}


def spec_of(project: Project, form: SpecForm) -> Spec | None:
    """Return the spec a form holds, typed or first shown; None where it is wrong."""
    if form.kind == "tokenizer":
        return None
    if not form.is_bound:
        values = {name: form.value_of(name) for name in form.fields}
        known = {name: value for name, value in values.items() if value is not None}
        form = SpecForm(project, form.kind, known)
    return form.cleaned_data["spec"] if form.is_valid() else None
