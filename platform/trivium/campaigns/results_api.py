"""`/api/v1/campaigns/…/report`, `export` and `judge`: what the votes amount to."""

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from ninja import Router, Schema
from pydantic import Field
from runspec import Spec
from runspec.export import ExportSpec
from runspec.judge import RUBRIC, JudgeSpec
from runspec.serving import Sampling

from trivium.api.auth import ApiRequest
from trivium.api.idempotency import once
from trivium.api.schema import Body
from trivium.campaigns.access import Seat, require_reader
from trivium.campaigns.api import engineers_seat, seat_of
from trivium.campaigns.refreshing import report_for
from trivium.campaigns.views_results import names_for
from trivium.runs.api import RunOut, answer
from trivium.runs.fields import with_plain_ends
from trivium.runs.kinds import start_run

router = Router()

OF_PEOPLE = ("labelers", "kappas")
"""Parts of a report that tell of single people: for engineers alone."""


class ReportOut(Schema):
    """The statistics of a campaign, as they were last computed."""

    computed: datetime | None = Field(description="Null: never yet.")
    votes_since: int = Field(description="Votes that came since, about.")
    is_coming: bool = Field(description="Whether a newer one is on its way.")
    values: dict[str, Any] = Field(
        description="Agreement, ranking, sides, gold, judges; `labelers` and `kappas` "
        "for engineers alone. docs/labeling.md says what each one is."
    )


class ExportIn(Body):
    """What of a campaign becomes a dataset of preferences."""

    name: str = Field(
        "",
        max_length=200,
        description="Of the dataset, or of one that gets a new version.",
    )
    min_votes: int = Field(1, description="Votes a comparison must have, 1 to 100.")
    min_share: float = Field(
        0.5, description="More than this share must prefer one answer, 0.5 to 1."
    )
    uses_adjudicated: bool = Field(True, description="Whether a second look decides.")
    names_labelers: bool = Field(
        False, description="Whether the sidecar has names instead of pseudonyms."
    )
    validation_fraction: float = Field(
        0.05, description="Share of prompts kept for validation, 0 to 0.5."
    )


class JudgeIn(Body):
    """A model that shall judge."""

    judge: str = Field(
        min_length=1, max_length=400, description="Id of a model, as answerers have it."
    )
    rubric: str = Field(RUBRIC, max_length=20_000)
    sampling: Sampling = Sampling(temperature=0, max_tokens=512)


@router.get("/{int:campaign_id}/report", response=ReportOut, summary="Get its report")
def get_report(request: ApiRequest, campaign_id: int) -> ReportOut:
    """Get its statistics: fresh for a small campaign, else the last with `is_coming`.

    Not for labelers, whom they would sway.
    """
    seat = require_reader(seat_of(request, campaign_id))
    shown = report_for(seat.campaign)
    return ReportOut(
        computed=shown.computed,
        votes_since=shown.num_newer,
        is_coming=shown.is_coming,
        values=values_for(seat, shown.values),
    )


@router.post(
    "/{int:campaign_id}/export", response={201: RunOut}, summary="Export its votes"
)
def export_votes(
    request: ApiRequest, campaign_id: int, payload: ExportIn
) -> HttpResponse:
    """Queue the run that makes a dataset of its votes."""
    seat = engineers_seat(request, campaign_id)
    campaign = seat.campaign
    spec = ExportSpec(
        campaign=str(campaign.pk),
        source_name=campaign.name,
        **payload.model_dump(exclude={"name"}),
    )
    name = payload.name or f"{campaign.name[:180]} preferences"
    return started(request, seat, spec, name)


@router.post(
    "/{int:campaign_id}/judge", response={201: RunOut}, summary="Have a model judge"
)
def judge_comparisons(
    request: ApiRequest, campaign_id: int, payload: JudgeIn
) -> HttpResponse:
    """Queue the run in which a model judges each comparison, in both orders."""
    seat = engineers_seat(request, campaign_id)
    spec = JudgeSpec(
        campaign=str(seat.campaign.pk),
        judge=payload.judge,
        rubric=with_plain_ends(payload.rubric),
        sampling=payload.sampling,
    )
    return started(request, seat, spec, seat.campaign.name)


def started(request: ApiRequest, seat: Seat, spec: Spec, name: str) -> HttpResponse:
    """Queue a run, once per idempotency key."""

    def act() -> RunOut:
        run = start_run(
            project=seat.project, created_by=request.user, spec=spec, name=name
        )
        return answer(request, run.pk)

    return once(request, act)


def values_for(seat: Seat, values: dict[str, Any]) -> dict[str, Any]:
    """Return a report as far as a person may know it, with the names of labelers."""
    if not seat.is_engineer:
        return {name: one for name, one in values.items() if name not in OF_PEOPLE}
    rows, pairs = values.get("labelers", []), values.get("kappas", [])
    people = {row["labeler"] for row in rows}
    names = names_for(
        people | {one[end] for one in pairs for end in ("first", "second")}
    )
    return values | {
        "labelers": [row | {"name": names[row["labeler"]]} for row in rows],
        "kappas": [
            one | {"names": [names[one["first"]], names[one["second"]]]}
            for one in pairs
        ],
    }
