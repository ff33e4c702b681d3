"""The labeling page."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from trivium.campaigns.access import take_seat
from trivium.http import SignedInRequest


@login_required
@require_safe
def label(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show the next comparison."""
    seat = take_seat(request.user, slug, pk)
    context = {"project": seat.project, "campaign": seat.campaign}
    return render(request, "campaigns/label.html", context)
