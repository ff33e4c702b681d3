"""Sending the files beside the rows of a dataset."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from trivium.datasets.exports import send_export
from trivium.datasets.models import DatasetVersion
from trivium.http import SignedInRequest
from trivium.projects.queries import get_project


@login_required
@require_safe
def download_export(
    request: SignedInRequest, slug: str, pk: int, name: str
) -> HttpResponse | StreamingHttpResponse:
    """Send one file of a version to whoever may see its rows."""
    project = get_project(request.user, slug)
    version = get_object_or_404(DatasetVersion, dataset__project=project, pk=pk)
    return send_export(request, version, name)
