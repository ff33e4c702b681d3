"""The list of campaigns, and the overview of one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from trivium.campaigns import making
from trivium.campaigns.access import engineers_seat, take_seat
from trivium.campaigns.forecast import forecast, plan_pair, plan_width
from trivium.campaigns.listing import agreement_word, campaigns_for, rows_for
from trivium.campaigns.models import Campaign, Report
from trivium.campaigns.queries import progress_of
from trivium.campaigns.refreshing import Shown, ask_for_report, report_for
from trivium.campaigns.tabs import render_tab
from trivium.http import HTMX_STOP_POLLING, SignedInRequest, searched_name
from trivium.paging import newest_first
from trivium.projects.models import Role
from trivium.projects.queries import get_project, has_role, role_in
from trivium.runs.errors import SubmitError
from trivium.statistics.agreement import HUMAN_BANDS

MAX_BATCHES = 50
DEFAULT_WIDTH = 0.1
MOVES = {
    "pause": (making.pause_campaign, "is paused: nothing is handed out any more."),
    "open": (making.open_campaign, "is open: labelers get comparisons again."),
    "close": (making.close_campaign, "is closed: its votes can no longer change."),
}


@login_required
@require_safe
@vary_on_headers("HX-Request")
def list_campaigns(request: SignedInRequest, slug: str) -> HttpResponse:
    """List a project's campaigns; `?state=` and `?q=`, part of a name, narrow."""
    project = get_project(request.user, slug)
    state = request.GET.get("state", "")
    search = searched_name(request)
    paged = newest_first(request, campaigns_for(request.user, project, state, search))
    context = {
        "project": project,
        "rows": rows_for(request.user, project, paged.rows),
        "paged": paged,
        "search": search,
        "state": state if state in Campaign.State.values else "",
        "states": Campaign.State.choices,
        "can_edit": has_role(request.user, project, Role.ENGINEER),
        "sees_results": role_in(request.user, project) != Role.LABELER,
    }
    return render(request, "campaigns/list.html", context)


@login_required
@require_safe
def campaign_detail(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show how far a campaign is, and what is known so far."""
    seat = take_seat(request.user, slug, pk)
    progress = progress_of(seat.campaign)
    context: dict[str, Any] = {"progress": progress}
    if seat.sees_results:
        shown = report_for(seat.campaign)
        batches = list(batches_of(seat.campaign))
        context |= {
            "shown": shown,
            "report": shown.values,
            "forecast": forecast(progress, seat.campaign.target_votes, shown.values),
            "agreement_word": agreement_word(alpha_in(shown)),
            "bands": HUMAN_BANDS,
            "batches": batches,
            "is_moving": any(one.run and not one.run.is_finished for one in batches),
            "plans": plans(request, shown),
        }
    return render_tab(request, seat, "detail", context)


def alpha_in(shown: Shown) -> float | None:
    """Return the alpha a report has."""
    found = shown.values.get("agreement", {}).get("alpha", {}).get("value")
    return float(found) if found is not None else None


def batches_of(campaign: Campaign) -> Any:
    """Return the newest batches of answers, each with its run."""
    return campaign.batches.select_related("run").order_by("-pk")[:MAX_BATCHES]


def plans(request: HttpRequest, shown: Shown) -> dict[str, Any]:
    """Return what the planner says to the numbers in the address."""
    report = shown.values
    pks = report.get("answerers", [])
    names = list(zip(pks, report.get("names", []), strict=True))
    asked = [number_in(request, key) for key in ("first", "second")]
    first, second = (
        value if value in pks else fallback
        for value, fallback in zip(asked, [*pks[:2], None, None], strict=False)
    )
    width = request.GET.get("width", "")
    try:
        wanted = min(1.0, max(0.0, float(width))) if width else DEFAULT_WIDTH
    except ValueError:
        wanted = DEFAULT_WIDTH
    return {
        "names": names,
        "selects": [("first", first), ("second", second)],
        "width": wanted if wanted == wanted else DEFAULT_WIDTH,  # noqa: PLR0124
        "pair": plan_pair(report, int(first), int(second))
        if first and second and first != second
        else None,
        "alpha": plan_width(report, wanted) if report else None,
    }


def number_in(request: HttpRequest, key: str) -> int | None:
    """Return a number the address has, or None."""
    text = request.GET.get(key, "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if is_number else None


@login_required
@require_POST
def change_state(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Pause, open or close a campaign."""
    seat = engineers_seat(request.user, slug, pk)
    move = MOVES.get(request.POST.get("move", ""))
    if move is None:
        messages.error(request, "A campaign can be paused, opened and closed.")
        return redirect("campaigns:detail", slug, pk)
    change, said = move
    try:
        change(seat.campaign)
    except SubmitError as error:
        text = str(error)
        messages.error(request, f"{text[:1].upper()}{text[1:]} already.")
    else:
        messages.success(request, f"{seat.campaign} {said}")
    return redirect("campaigns:detail", slug, pk)


@login_required
@require_safe
def report_news(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Tell htmx once there is a newer report than the one of `?seen=`."""
    seat = take_seat(request.user, slug, pk)
    report = Report.objects.filter(campaign=seat.campaign).only("computed").first()
    seen = parse_seen(request.GET.get("seen", ""))
    is_newer = (
        report is not None
        and report.computed is not None
        and (seen is None or report.computed > seen)
    )
    if not is_newer:
        # Should a worker have died over it, it is asked for again.
        ask_for_report(seat.campaign)
        return HttpResponse(status=204)
    response = HttpResponse(status=HTMX_STOP_POLLING)
    response["HX-Trigger"] = "report-newer"
    return response


def parse_seen(text: str) -> Any:
    """Return a moment an address names, or None."""
    try:
        # A plus sign in a query is a space.
        seen = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        return None
    return seen if seen is not None and seen.tzinfo is not None else None
