"""Pages of datasets: list, one dataset, and bringing data in."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)
from django.views.decorators.vary import vary_on_headers
from runspec.layout import DatasetCard
from runspec.preferences import FORMS

from trivium.datasets import bad_rows, histogram, pairs, preview, queries, services
from trivium.datasets.download import send_rows
from trivium.datasets.exports import may_read_exports
from trivium.datasets.forms import ImportForm
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.datasets.sending import is_too_large, take_source, too_large_sentence
from trivium.http import (
    HTMX_STOP_POLLING,
    SignedInRequest,
    add_form_error,
    searched_name,
)
from trivium.pages.lineage import dataset_levels
from trivium.paging import newest_first
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, has_role, require_role
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run

ROWS_PER_PAGE = 20
MAX_LABELS_SHOWN = 50
MAX_UNUSED = 5
"""Files sent and not brought in that are offered again."""


@login_required
@require_safe
@vary_on_headers("HX-Request")
def list_datasets(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's datasets; `?q=` narrows by name, `?kind=` by kind of rows."""
    project = get_project(request.user, slug)
    search = searched_name(request)
    kind = request.GET.get("kind", "")
    datasets = queries.datasets_with_newest(project)
    if search:
        datasets = datasets.filter(name__icontains=search)
    if kind in Dataset.Kind.values:
        datasets = datasets.filter(kind=kind)
    paged = newest_first(request, datasets)
    preparing = Run.objects.filter(dataset_version__dataset__in=paged.rows)
    context = {
        "project": project,
        "paged": paged,
        "search": search,
        "kind": kind if kind in Dataset.Kind.values else "",
        "kinds": Dataset.Kind.choices,
        "is_moving": preparing.exclude(state__in=Run.TERMINAL).exists(),
        "can_edit": has_role(request.user, project, Role.ENGINEER),
    }
    template = "datasets/list.html"
    if not request.htmx:
        return render(request, template, context)
    status = None if context["is_moving"] else HTMX_STOP_POLLING
    return render(request, f"{template}#table", context, status=status)


@login_required
@require_safe
@vary_on_headers("HX-Request", "HX-Target")
def dataset_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show one version of a dataset: `?v=` a number, or the newest."""
    project = get_project(request.user, slug)
    dataset = get_object_or_404(Dataset, project=project, pk=pk)
    versions = list(dataset.versions.select_related("run").order_by("-number"))
    version = _chosen(versions, request.GET.get("v", ""))
    version.dataset = dataset
    context: dict[str, Any] = {
        "project": project,
        "dataset": dataset,
        "version": version,
    }
    if request.htmx and request.htmx.target == "progress":
        return _show_progress(request, context)
    context["can_edit"] = has_role(request.user, project, Role.ENGINEER)
    context["may_read_exports"] = may_read_exports(request.user, project)
    if version.is_ready:
        card = DatasetCard.model_validate(version.card)
        context |= {"card": card, **_preview_page(request, version, card)}
    if request.htmx and request.htmx.target == "preview":
        return render(request, "datasets/detail.html#preview", context)
    context |= {
        "versions": versions,
        "bad_rows": bad_rows.read_bad_rows(version),
        **(_statistics(card) if version.is_ready else {}),
        "levels": dataset_levels(version),
        "users": queries.what_uses(version),
        "source": queries.source_of(version),
    }
    return render(request, "datasets/detail.html", context)


def _statistics(card: DatasetCard) -> dict[str, Any]:
    """Return what the charts of a page show."""
    return {
        "bars": histogram.bars(card.length_histogram),
        "column_bars": [
            (name, histogram.bars(bins)) for name, bins in card.column_lengths.items()
        ],
        "turns": histogram.shares([(str(turns), rows) for turns, rows in card.turns]),
        "labels": histogram.shares(card.labels[:MAX_LABELS_SHOWN]),
        "num_other_labels": max(0, card.num_labels - MAX_LABELS_SHOWN),
        "pair_sentences": pairs.sentences(card.pairs) if card.pairs else [],
        "longer": histogram.shares(pairs.longer(card.pairs)) if card.pairs else [],
        "forms": FORMS if card.pairs else {},
    }


def _show_progress(request: SignedInRequest, context: dict[str, Any]) -> HttpResponse:
    """Answer a poll; once the run has ended the whole page is another."""
    run = context["version"].run
    response = render(request, "datasets/detail.html#progress", context)
    if run is None or run.is_finished:
        response.headers["HX-Refresh"] = "true"
    return response


def _chosen(versions: list[DatasetVersion], number: str) -> DatasetVersion:
    if not number and versions:
        return versions[0]
    for version in versions:
        if str(version.number) == number:
            return version
    raise Http404("no such version")


def _preview_page(
    request: HttpRequest, version: DatasetVersion, card: DatasetCard
) -> dict[str, Any]:
    """Return the rows of `?split=` that `?page=` shows."""
    split = request.GET.get("split", "train")
    if split not in card.splits:
        split = next(iter(card.splits), "")
    asked = request.GET.get("page", "1")
    page = int(asked) if asked.isdecimal() and len(asked) < 12 else 1
    total = card.splits[split].rows if split else 0
    last = max(1, -(-total // ROWS_PER_PAGE))
    page = min(max(page, 1), last)
    first = (page - 1) * ROWS_PER_PAGE
    try:
        rows, _ = preview.read_rows(version, split, offset=first, limit=ROWS_PER_PAGE)
    except (FileNotFoundError, KeyError):
        return {"is_gone": True}
    return {
        "rows": list(enumerate(rows, start=first + 1)),
        "split": split,
        "page": page,
        "last_page": last,
        "previous_page": page - 1 if page > 1 else None,
        "next_page": page + 1 if page < last else None,
    }


@csrf_exempt
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create_dataset(request: SignedInRequest, slug: str) -> HttpResponse:
    """Bring data in. Who may, and how much, is asked before the body is parsed.

    The CSRF check reads the form, and with it the file: hence exempt here, and made
    by the inner view.
    """
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    if is_too_large(request):
        form, sentence = ImportForm(), too_large_sentence()
        return _import_page(request, project, form, status=413, sentence=sentence)
    response: HttpResponse = _create_dataset(request, project)
    return response


@csrf_protect
def _create_dataset(request: SignedInRequest, project: Project) -> HttpResponse:
    if request.method != "POST":
        known = {"name": request.GET.get("name", "")[:200]}
        return _import_page(request, project, ImportForm(initial=known), status=200)
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _import_page(request, project, form, status=422)
    services.forget_stale_uploads(project=project)
    try:
        upload = take_source(
            project=project,
            created_by=request.user,
            file=form.sent_file,
            path=form.cleaned_data["path"],
        )
    except SubmitError as error:
        add_form_error(form, error)
        return _import_page(request, project, form, status=422)
    address = reverse("datasets:upload", args=[project.slug, upload.pk])
    name = form.cleaned_data["name"]
    return redirect(f"{address}?{urlencode({'name': name})}" if name else address)


def _import_page(
    request: SignedInRequest,
    project: Project,
    form: ImportForm,
    *,
    status: int,
    sentence: str = "",
) -> HttpResponse:
    context = {
        "project": project,
        "form": form,
        "sentence": sentence,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "import_roots": settings.IMPORT_ROOTS,
        "unused": queries.unused_uploads(project)[:MAX_UNUSED],
    }
    return render(request, "datasets/new.html", context, status=status)


@login_required
@require_POST
def add_sample(request: SignedInRequest, slug: str) -> HttpResponse:
    """Queue the ingest of a bundled data set: `kind` of rows, texts if not given."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    wanted = request.POST.get("kind", "text")
    kind = next((kind for kind in services.SAMPLES if kind == wanted), None)
    if kind is None:
        raise Http404("there is no sample of that kind")
    try:
        run = services.add_sample(project=project, created_by=request.user, kind=kind)
    except SubmitError as error:
        messages.error(request, f"{error}.")
        return redirect("datasets:list", slug)
    return redirect("runs:detail", slug, run.pk)


@login_required
@require_safe
def download_rows(
    request: SignedInRequest, slug: str, pk: int
) -> StreamingHttpResponse:
    """Send the rows of a version: `?split=` of one alone, `?form=` as TRL has them."""
    version = get_object_or_404(
        DatasetVersion.objects.select_related("dataset"),
        dataset__project=get_project(request.user, slug),
        pk=pk,
    )
    return send_rows(
        version, split=request.GET.get("split", ""), form=request.GET.get("form", "")
    )


@login_required
@require_POST
def delete_version(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a version nothing depends on, or say what does."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    version = get_object_or_404(
        DatasetVersion.objects.select_related("dataset", "run"),
        dataset__project=project,
        pk=pk,
    )
    dataset, name = version.dataset, str(version)
    try:
        services.delete_version(version)
    except services.InUseError as error:
        messages.error(request, f"{error}. Delete that first.")
        return redirect("datasets:detail", slug, dataset.pk)
    messages.success(request, f"{name} was deleted.")
    if Dataset.objects.filter(pk=dataset.pk).exists():
        return redirect("datasets:detail", slug, dataset.pk)
    return redirect("datasets:list", slug)
