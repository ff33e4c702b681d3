"""Comparisons of a campaign: the list, one of them, and what engineers do to it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from trivium.campaigns import browsing
from trivium.campaigns.access import Seat, engineers_seat
from trivium.campaigns.browsing import ItemFilter
from trivium.campaigns.forms import AdjudicationForm, GoldForm
from trivium.campaigns.making import set_gold, withdraw
from trivium.campaigns.models import Item
from trivium.campaigns.reports import outdate_report
from trivium.campaigns.tabs import render_tab
from trivium.http import SignedInRequest
from trivium.models.card import markdown_html
from trivium.paging import newest_first

MAX_VOTES = 500


@login_required
@require_safe
def list_items(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """List comparisons, newest first; filters and the place are in the address."""
    seat = engineers_seat(request.user, slug, pk)
    form = ItemFilter(request.GET, campaign=seat.campaign)
    paged = newest_first(request, browsing.filtered(seat.campaign, form))
    context = {
        "form": form,
        "rows": [
            (row, browsing.asked_in(row.comparison.prompt), browsing.majority_of(row))
            for row in paged
        ],
        "is_filtered": any(form.cleaned_data.values()),
        "paged": paged,
    }
    return render_tab(request, seat, "items", context)


@login_required
@require_safe
def item_detail(
    request: SignedInRequest, slug: str, pk: int, item_id: int
) -> HttpResponse:
    """Show a comparison with names, votes and what was decided on it."""
    seat = engineers_seat(request.user, slug, pk)
    item = find_item(seat, item_id)
    context = item_context(item) | {
        "gold_form": GoldForm(initial={"choice": item.gold}),
        "form": AdjudicationForm(
            initial={"choice": item.adjudicated, "note": item.adjudication_note}
        ),
    }
    return render_tab(
        request, seat, "items", context, template="campaigns/tabs/item.html"
    )


def item_context(item: Item) -> dict[str, Any]:
    """Return what both pages of one comparison show."""
    comparison = item.comparison
    votes = comparison.votes.select_related("labeler", "judge").order_by("pk")
    return {
        "item": item,
        "prompt": turns_of(comparison.prompt),
        "sides": [
            ("A", comparison.answer_a, shown_text(comparison.answer_a.text)),
            ("B", comparison.answer_b, shown_text(comparison.answer_b.text)),
        ],
        "votes": list(votes[:MAX_VOTES]),
        "reasons": browsing.reasons_for(item),
        "flags": item.flags.select_related("labeler", "resolved_by").order_by("pk"),
        "majority": browsing.majority_of(item),
    }


def turns_of(prompt: Any) -> list[tuple[str, str]]:
    """Return a prompt as turns of (role, text); bare text has no role."""
    if isinstance(prompt, str):
        return [("", prompt)]
    return [
        (str(turn.get("role", "")), browsing.asked_in([turn]))
        for turn in prompt
        if isinstance(turn, dict)
    ]


def shown_text(text: str) -> str:
    """Return an answer's Markdown as HTML."""
    return markdown_html(text) if text.strip() else ""


def find_item(seat: Seat, item_id: int) -> Item:
    """Return one comparison of a campaign.

    Raises:
        Http404: there is none of that number.
    """
    items = Item.objects.filter(campaign=seat.campaign).select_related(
        "campaign__project",
        "comparison__answer_a",
        "comparison__answer_b",
        "answerer_a",
        "answerer_b",
        "adjudicated_by",
    )
    found = items.filter(pk=item_id).first() if item_id < 2**63 else None
    if found is None:
        raise Http404("no such comparison")
    return found


@login_required
@require_POST
def mark_gold(
    request: SignedInRequest, slug: str, pk: int, item_id: int
) -> HttpResponse:
    """Make a comparison a gold item, or no longer one."""
    seat = engineers_seat(request.user, slug, pk)
    item = find_item(seat, item_id)
    form = GoldForm(request.POST)
    if form.is_valid():
        set_gold(item, form.cleaned_data["choice"])
        outdate_report(seat.campaign)
        messages.success(
            request,
            "It is a gold item: everybody may get it, and its votes count for nothing "
            "but their accuracy."
            if item.gold
            else "It is a comparison like others again.",
        )
    else:
        messages.error(request, "Choose what the right answer is.")
    return back(request, seat, item)


@login_required
@require_POST
def withdraw_item(
    request: SignedInRequest, slug: str, pk: int, item_id: int
) -> HttpResponse:
    """Take a comparison out of the campaign, or put it back."""
    seat = engineers_seat(request.user, slug, pk)
    item = find_item(seat, item_id)
    is_withdrawn = request.POST.get("is_withdrawn") == "1"
    withdraw([item.pk], seat.campaign, is_withdrawn=is_withdrawn)
    outdate_report(seat.campaign)
    messages.success(
        request,
        "It is withdrawn: nobody gets it any more, and its votes count for nothing."
        if is_withdrawn
        else "It is back in the campaign.",
    )
    return back(request, seat, item)


@login_required
@require_POST
def resolve_flags(
    request: SignedInRequest, slug: str, pk: int, item_id: int
) -> HttpResponse:
    """Say that somebody looked at what was flagged."""
    seat = engineers_seat(request.user, slug, pk)
    item = find_item(seat, item_id)
    item.flags.filter(resolved=None).update(
        resolved=timezone.now(), resolved_by=request.user
    )
    messages.success(request, "The flags are resolved.")
    return back(request, seat, item)


def back(request: SignedInRequest, seat: Seat, item: Item) -> HttpResponse:
    """Go back to where the form stood, or to the comparison."""
    after = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(after, allowed_hosts={request.get_host()}):
        return redirect(after)
    return redirect("campaigns:item", seat.project.slug, seat.campaign.pk, item.pk)
