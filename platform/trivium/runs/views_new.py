"""The page that queues a run: a form read off the spec, and what it would cost."""

from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST
from runspec import PretrainSpec, Spec
from runspec.sizing import PRESETS, Estimate, estimate

from trivium.datasets.models import DatasetVersion
from trivium.http import SignedInRequest, add_form_error
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs import kinds
from trivium.runs.errors import SubmitError
from trivium.runs.forms import SpecForm
from trivium.runs.models import Run
from trivium.runs.views import as_id
from trivium.tokenizers.models import Tokenizer
from trivium.workers.models import Device
from trivium.workers.queries import live_workers

KINDS = {"tokenizer": "Tokenizer", "pretrain": "Pretraining"}
STARTS = {"tokenizer": "Train the tokenizer", "pretrain": "Start pretraining"}
DEFAULT_VOCABULARY = 4096
MANY_PASSES = 20
CHARACTERS_PER_TOKEN = 4.0
"""Assumed of a tokenizer that is still being trained."""


class Outlook(NamedTuple):
    """What the panel beside the form shows."""

    estimate: Estimate
    device: Device | None
    memory_share: float | None
    """Of the device's memory; None where no device is there."""
    passes: float | None
    """Times the run reads its dataset."""
    warnings: list[str]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create_run(request: SignedInRequest, slug: str) -> HttpResponse:
    """Queue a run of `?kind=`; `?from=` a run or `?preset=` fills the form."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    kind = chosen_kind(request)
    settings, name = first_values(request, project, kind)
    form = SpecForm(
        project, kind, request.POST or None, settings=settings, initial={"name": name}
    )
    if request.method == "POST" and form.is_valid():
        try:
            run = kinds.start_run(
                project=project,
                created_by=request.user,
                spec=form.cleaned_data["spec"],
                name=form.cleaned_data["name"],
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, f"{run.name} is queued.")
            return redirect("runs:detail", slug, run.pk)
    context = {
        "project": project,
        "form": form,
        "kind": kind,
        "kinds": KINDS,
        "start": STARTS[kind],
        "presets": presets(request) if kind == "pretrain" else [],
        "preset_values": PRESETS,
        "outlook": outlook_of(project, form),
        "has_dataset": project.datasets.exists(),
        "has_tokenizer": kind != "pretrain" or project.tokenizers.exists(),
    }
    return render(request, "runs/new.html", context)


@login_required
@require_POST
def estimate_run(request: SignedInRequest, slug: str) -> HttpResponse:
    """Draw the panel anew for the values typed so far; nothing is stored."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    form = SpecForm(project, chosen_kind(request), request.POST)
    context = {"form": form, "outlook": outlook_of(project, form)}
    return render(request, "runs/new.html#estimate", context)


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
    if source is not None:
        run = Run.objects.filter(project=project, kind=kind, pk=source).first()
        if run is not None:
            return dict(run.spec), run.name if run.is_finished else ""
    settings: dict[str, Any] = {
        key: request.GET[key] for key in ("dataset", "tokenizer") if key in request.GET
    }
    if kind == "pretrain":
        settings |= PRESETS.get(request.GET.get("preset", ""), {})
    return settings, ""


def presets(request: SignedInRequest) -> list[dict[str, Any]]:
    """Return the presets, with the values a click fills in."""
    chosen = request.GET.get("preset")
    return [{"name": name, "is_chosen": name == chosen} for name in PRESETS]


def outlook_of(project: Project, form: SpecForm) -> Outlook | None:
    """Return what the form's values would cost; None while they are not valid."""
    if form.kind != "pretrain":
        return None
    spec: Spec | None = None
    if form.is_bound:
        if form.is_valid():
            spec = form.cleaned_data["spec"]
    else:
        values = {name: form[name].initial for name in form.settings()}
        first = SpecForm(
            project, form.kind, {k: v for k, v in values.items() if v is not None}
        )
        if first.is_valid():
            spec = first.cleaned_data["spec"]
    return outlook(project, spec) if isinstance(spec, PretrainSpec) else None


def outlook(project: Project, spec: PretrainSpec) -> Outlook:
    """Return the cost of a run on the device at hand, and what speaks against it."""
    device = device_at_hand(spec)
    tokenizer = Tokenizer.objects.filter(
        project=project, pk=as_id(spec.tokenizer or "") or 0
    ).first()
    version = DatasetVersion.objects.filter(
        dataset__project=project, pk=as_id(spec.dataset) or 0
    ).first()
    made = estimate(
        spec,
        vocabulary_size=vocabulary_of(tokenizer),
        peak_flops=peak_of(device, spec),
    )
    share = None
    if device is not None and device.memory_bytes:
        share = made.total_bytes / device.memory_bytes
    passes = passes_over(version, tokenizer, made.tokens)
    return Outlook(made, device, share, passes, warnings_of(made, share, passes))


def vocabulary_of(tokenizer: Tokenizer | None) -> int:
    """Return the size of a vocabulary, or the one asked for while it is learnt."""
    if tokenizer is None:
        return DEFAULT_VOCABULARY
    if tokenizer.vocabulary_size:
        return tokenizer.vocabulary_size
    asked = tokenizer.run.spec.get("vocabulary_size") if tokenizer.run else None
    return asked or DEFAULT_VOCABULARY


def device_at_hand(spec: PretrainSpec) -> Device | None:
    """Return the device the run would most likely get: a GPU if it may and can."""
    devices = Device.objects.filter(worker__in=live_workers()).select_related("worker")
    wanted = {"cpu": ["cpu"], "cuda": ["gpu"]}.get(spec.device, ["gpu", "cpu"])
    for kind in wanted:
        device = devices.filter(kind=kind).order_by("-memory_bytes", "pk").first()
        if device is not None:
            return device
    return None


def peak_of(device: Device | None, spec: PretrainSpec) -> float | None:
    """Return the measured FLOP/s of a device in the precision the run would take."""
    if device is None or not device.peak_flops:
        return None
    measured = {
        name: value
        for name, value in device.peak_flops.items()
        if isinstance(value, int | float) and value > 0
    }
    if spec.precision in measured:
        return float(measured[spec.precision])
    return max(measured.values(), default=None)


def passes_over(
    version: DatasetVersion | None, tokenizer: Tokenizer | None, tokens: int
) -> float | None:
    """Return how often a run reads its training rows; None where none are counted."""
    card = version.card if version is not None else {}
    characters = card.get("splits", {}).get("train", {}).get("characters")
    if not characters:
        return None
    report = tokenizer.report if tokenizer is not None else {}
    per_token = report.get("characters_per_token") or CHARACTERS_PER_TOKEN
    return float(tokens / max(1.0, characters / per_token))


def warnings_of(
    made: Estimate, memory_share: float | None, passes: float | None
) -> list[str]:
    """Return what a person should know before the run starts."""
    found = []
    if memory_share is not None and memory_share > 1:
        found.append(
            "It needs more memory than the device has. Lower the batch size and raise "
            "gradient accumulation, or make the model smaller."
        )
    elif memory_share is not None and memory_share > 0.8:
        found.append("It will fill most of the device's memory.")
    if made.tokens < made.tokens_for_20_per_parameter / 4:
        found.append(
            "It sees far fewer than 20 tokens per parameter; a smaller model or more "
            "steps would learn more."
        )
    if passes is not None and passes > MANY_PASSES:
        found.append(
            f"It reads the data about {passes:.0f} times; expect it to learn the text "
            "by heart."
        )
    return found
