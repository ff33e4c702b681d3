"""The frame of a campaign's pages: heading, tabs, and which part htmx is sent."""

from typing import Any, NamedTuple

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from trivium.campaigns.access import Seat
from trivium.http import SignedInRequest
from trivium.runs.views import CHARTS_POLICY

TABS = (
    ("detail", "Overview", "all"),
    ("items", "Comparisons", "engineers"),
    ("agreement", "Agreement", "readers"),
    ("labelers", "Labelers", "people"),
    ("models", "Models", "readers"),
    ("position", "Position", "readers"),
    ("adjudicate", "Adjudicate", "engineers"),
    ("guidelines", "Guidelines", "all"),
    ("judges", "Judges", "engineers"),
    ("export", "Export", "engineers"),
    ("settings", "Settings", "engineers"),
)
"""URL name, label, and who is shown it."""
WITH_CHARTS = {"agreement", "models"}
"""Parts with charts: these need a policy of their own, so they are opened whole."""


class Tab(NamedTuple):
    """A link to one part of a campaign."""

    name: str
    label: str
    url: str
    is_current: bool
    is_whole: bool
    """Whether it is opened as a page of its own."""


def tabs_for(seat: Seat, current: str) -> list[Tab]:
    """Return the parts of a campaign a person may open."""
    shown = {
        "all": True,
        "engineers": seat.is_engineer,
        "readers": seat.sees_results,
        "people": seat.is_engineer or not seat.sees_results,
    }
    keys = [seat.project.slug, seat.campaign.pk]
    return [
        Tab(
            name,
            "You" if name == "labelers" and not seat.is_engineer else label,
            reverse(f"campaigns:{name}", args=keys),
            name == current,
            name in WITH_CHARTS,
        )
        for name, label, who in TABS
        if shown[who]
    ]


def render_tab(
    request: SignedInRequest,
    seat: Seat,
    tab: str,
    context: dict[str, Any],
    *,
    template: str = "",
    status: int = 200,
) -> HttpResponse:
    """Render a part of a campaign; htmx is sent the part alone."""
    tabs = tabs_for(seat, tab)
    shared = {
        "seat": seat,
        "project": seat.project,
        "campaign": seat.campaign,
        "tab": tab,
        "tab_label": next(one.label for one in tabs if one.is_current),
        "tab_template": template or f"campaigns/tabs/{tab}.html",
        "tabs": tabs,
        "has_charts": tab in WITH_CHARTS,
        "can_label": seat.campaign.state == "open" and seat.may_label,
    }
    page = "campaigns/detail.html"
    if request.htmx and request.htmx.target == "campaign-body":
        page += "#body"
    response = render(request, page, shared | context, status=status)
    response["Vary"] = "HX-Request, HX-Target"
    if tab in WITH_CHARTS:
        response["Content-Security-Policy"] = CHARTS_POLICY
    return response
