"""Second looks: what labelers, flags or a reward model disagree on, one by one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from trivium.campaigns import browsing
from trivium.campaigns.access import engineers_seat
from trivium.campaigns.forms import AdjudicationForm
from trivium.campaigns.making import adjudicate
from trivium.campaigns.tabs import render_tab
from trivium.campaigns.views_items import back, find_item, item_context
from trivium.http import SignedInRequest, as_id

MOST_COUNTED = 100


@login_required
@require_safe
def queue(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show the next comparison that needs a second look; `?after=` passes some."""
    seat = engineers_seat(request.user, slug, pk)
    waiting = browsing.queue_of(seat.campaign)
    after = as_id(request.GET.get("after", "")) or 0
    ahead = list(
        waiting.filter(pk__gt=after).values_list("pk", flat=True)[: MOST_COUNTED + 1]
    )
    context: dict[str, Any] = {
        "num_ahead": min(len(ahead), MOST_COUNTED),
        "has_more": len(ahead) > MOST_COUNTED,
        "has_passed": bool(after) and waiting.filter(pk__lte=after).exists(),
        "item": None,
    }
    if ahead:
        item = find_item(seat, ahead[0])
        context |= item_context(item) | {"form": AdjudicationForm()}
        here = reverse("campaigns:adjudicate", args=[slug, pk])
        context |= {"here": here, "onward": f"{here}?after={item.pk}"}
    return render_tab(request, seat, "adjudicate", context)


@login_required
@require_POST
def decide(request: SignedInRequest, slug: str, pk: int, item_id: int) -> HttpResponse:
    """Decide a comparison; its votes stay as they are."""
    seat = engineers_seat(request.user, slug, pk)
    item = find_item(seat, item_id)
    form = AdjudicationForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose A, B, equally good or both bad.")
        return back(request, seat, item)
    adjudicate(item, actor=request.user, **form.cleaned_data)
    messages.success(
        request,
        f"Decided: {item.get_adjudicated_display()}. The votes stay on record."
        if item.adjudicated
        else "The decision was taken back.",
    )
    return back(request, seat, item)
