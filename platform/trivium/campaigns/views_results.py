"""What the votes amount to: agreement, labelers, models, sides, guidelines."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from trivium.accounts.models import User
from trivium.campaigns.access import engineers_seat, readers_seat, take_seat
from trivium.campaigns.forms import GuidelinesForm
from trivium.campaigns.listing import agreement_word
from trivium.campaigns.making import write_guidelines
from trivium.campaigns.questions import AXES
from trivium.campaigns.refreshing import Shown, report_for
from trivium.campaigns.tabs import render_tab
from trivium.http import SignedInRequest
from trivium.models.card import markdown_html
from trivium.runs.fields import with_plain_ends
from trivium.statistics.agreement import HUMAN_BANDS

MAX_MATRIX = 12


@login_required
@require_safe
def agreement(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show how far labelers agree, beyond what chance explains."""
    seat = readers_seat(request.user, slug, pk)
    shown = report_for(seat.campaign)
    report = shown.values
    context = base_of(shown)
    if report:
        context |= {
            "agreement_word": agreement_word(report["agreement"]["alpha"]["value"]),
            "rows": agreement_rows(report),
            "windows": window_rows(report["over_time"]),
            "plot": time_plot(report["over_time"]),
            "kappas": named_pairs(report["kappas"]) if seat.is_engineer else [],
            "bands": HUMAN_BANDS,
        }
    return render_tab(request, seat, "agreement", context)


def base_of(shown: Shown) -> dict[str, Any]:
    """Return the report, and when it was made."""
    return {"shown": shown, "report": shown.values}


def agreement_rows(report: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Return title, kind and figures of everything agreement was measured on."""
    rows = [("Which is better", "nominal", report["agreement"])]
    rows += [
        (AXES.get(axis, axis), "nominal", one) for axis, one in report["axes"].items()
    ]
    if report["strength"]["num_units"]:
        rows.append(("How much better", "ordinal", report["strength"]))
    return rows


def window_rows(over_time: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the windows that have an alpha, as the table has them."""
    return [
        {"start_s": one["start_s"], **one["agreement"]} for one in over_time["windows"]
    ]


def time_plot(over_time: dict[str, Any]) -> dict[str, Any] | None:
    """Return alpha over time as the chart draws it; None for fewer than two points."""
    rows = [
        one
        for one in window_rows(over_time)
        if one["alpha"]["value"] is not None and one["alpha"]["interval"] is not None
    ]
    if len(rows) < 2:
        return None
    half_ms = 500 * over_time["window_s"]
    return {
        "kind": "time",
        "x": [1000 * one["start_s"] + half_ms for one in rows],
        "value": [one["alpha"]["value"] for one in rows],
        "low": [one["alpha"]["interval"]["low"] for one in rows],
        "high": [one["alpha"]["interval"]["high"] for one in rows],
        "units": [one["num_units"] for one in rows],
    }


def named_pairs(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return pairs of labelers with their names."""
    names = names_for({pk for one in pairs for pk in (one["first"], one["second"])})
    return [
        one | {"names": (names[one["first"]], names[one["second"]])} for one in pairs
    ]


def names_for(pks: set[int]) -> dict[int, str]:
    """Return people's names by their ids."""
    found = dict(User.objects.filter(pk__in=pks).values_list("pk", "username"))
    return {pk: found.get(pk, f"person {pk}") for pk in pks}


@login_required
@require_safe
def labelers(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show what each labeler's votes look like; labelers see their own row alone."""
    seat = take_seat(request.user, slug, pk)
    if not seat.is_engineer and seat.sees_results:
        raise PermissionDenied("Only engineers see the figures of labelers.")
    shown = report_for(seat.campaign)
    rows = shown.values.get("labelers", [])
    if not seat.is_engineer:
        rows = [row for row in rows if row["labeler"] == request.user.pk]
    names = names_for({row["labeler"] for row in rows})
    context = base_of(shown) | {
        "rows": [row | {"name": names[row["labeler"]]} for row in rows]
    }
    return render_tab(request, seat, "labelers", context)


@login_required
@require_safe
def models(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show how models rank, how sure that is, and at equal length."""
    seat = readers_seat(request.user, slug, pk)
    shown = report_for(seat.campaign)
    report = shown.values
    context = base_of(shown)
    if report:
        ranking, at_length = report["ranking"], report["at_length"]
        lengths = {one["name"]: one for one in at_length["models"]}
        context |= {
            "rows": [(one, lengths.get(one["name"])) for one in ranking["models"]],
            "matrix": matrix_of(ranking),
            "plot": ranking_plot(ranking, lengths),
        }
    return render_tab(request, seat, "models", context)


def matrix_of(ranking: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """Return, for each model, how often it beats each other one."""
    names = [one["name"] for one in ranking["models"]][:MAX_MATRIX]
    rows = []
    for at, name in enumerate(names):
        cells = [
            None
            if at == other
            else {
                "value": ranking["win_KK"][at][other],
                "low": ranking["win_low_KK"][at][other],
                "high": ranking["win_high_KK"][at][other],
                "step": round(10 * ranking["win_KK"][at][other]),
            }
            for other in range(len(names))
        ]
        rows.append((name, cells))
    return rows


def ranking_plot(
    ranking: dict[str, Any], lengths: dict[str, Any]
) -> dict[str, Any] | None:
    """Return scores and intervals as the chart draws them."""
    found = ranking["models"]
    if not found:
        return None

    def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "name": [one["name"] for one in rows],
            "value": [one["score"] for one in rows],
            "low": [one["interval"]["low"] for one in rows],
            "high": [one["interval"]["high"] for one in rows],
        }

    controlled = [lengths[one["name"]] for one in found if one["name"] in lengths]
    return {
        "kind": "ranking",
        "names": [one["name"] for one in found],
        "plain": columns(found),
        "at_length": columns(controlled),
    }


@login_required
@require_safe
def position(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show whether what stands on the left wins because it stands there."""
    seat = readers_seat(request.user, slug, pk)
    shown = report_for(seat.campaign)
    rows = shown.values.get("labelers", []) if seat.is_engineer else []
    names = names_for({row["labeler"] for row in rows})
    context = base_of(shown) | {
        "rows": [row | {"name": names[row["labeler"]]} for row in rows]
    }
    return render_tab(request, seat, "position", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def guidelines(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Show what labelers are told; engineers write new versions."""
    seat = take_seat(request.user, slug, pk)
    newest = seat.campaign.guidelines.last()
    form = GuidelinesForm(
        request.POST or None, initial={"text": newest.text if newest else ""}
    )
    if request.method == "POST":
        engineers_seat(request.user, slug, pk)
        if form.is_valid():
            text = with_plain_ends(form.cleaned_data["text"])
            written = write_guidelines(seat.campaign, author=request.user, text=text)
            messages.success(
                request,
                f"Version {written.number} stands beside every task from now on."
                if newest is None or written.number != newest.number
                else "Nothing was changed, so there is no new version.",
            )
            return redirect("campaigns:guidelines", slug, pk)
    versions = list(
        seat.campaign.guidelines.select_related("created_by").order_by("-number")
    )
    context: dict[str, Any] = {
        "form": form,
        "newest": newest,
        "html": markdown_html(newest.text) if newest else "",
    }
    if seat.sees_results:
        shown = report_for(seat.campaign)
        counts = shown.values.get("guidelines", {})
        context |= base_of(shown) | {
            "versions": [
                (one, markdown_html(one.text), counts.get(str(one.number), 0))
                for one in versions
            ]
        }
    status = 422 if form.errors else 200
    return render_tab(request, seat, "guidelines", context, status=status)
