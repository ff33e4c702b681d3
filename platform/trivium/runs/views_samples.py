"""From an answer that looks odd to people who judge it."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from trivium.campaigns.of_samples import start_campaign_of
from trivium.http import SignedInRequest
from trivium.projects.models import Role
from trivium.runs.errors import SubmitError
from trivium.runs.models import Sample
from trivium.runs.views import find_run
from trivium.runs.views_actions import sentence


@login_required
@require_POST
def label_sample(
    request: SignedInRequest, slug: str, run_id: int, sample_id: int
) -> HttpResponse:
    """Make a campaign of a sample's prompt, and go there."""
    run = find_run(request, slug, run_id, least=Role.ENGINEER)
    sample = get_object_or_404(Sample, pk=sample_id, run=run)
    try:
        campaign = start_campaign_of(sample, created_by=request.user)
    except SubmitError as error:
        messages.error(request, sentence(error))
        return redirect("runs:detail", slug, run.pk)
    messages.success(
        request, "The campaign is made; its answers come as soon as a worker is free."
    )
    return redirect("campaigns:detail", slug, campaign.pk)
