"""`/api/v1/runs/compare`: runs beside each other."""

from typing import Annotated, Any

from django.http import Http404
from ninja import Query, Router, Schema
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.runs import compare, queries
from trivium.runs.models import Run
from trivium.runs.watch_api import JsonNumber, json_number

router = Router()


class ChangeOut(Schema):
    """One setting that differs from the first run's."""

    setting: str
    label: str
    before: str = Field(description="Of the first run, for a person.")
    after: str


class ComparedOut(Schema):
    """One run of a comparison."""

    id: int
    name: str
    kind: str
    state: str
    metrics: dict[str, JsonNumber] = Field(description="Where each curve ended.")
    best: list[str] = Field(description="Metrics this run ended best in.")
    seconds: float | None = Field(description="From start to end.")
    changes: list[ChangeOut] = Field(description="Against the first run.")
    words: str = Field(description="The changes as one line.")


class DifferenceOut(Schema):
    """One setting that is not the same in all runs."""

    setting: str
    label: str
    values: list[str] = Field(description="One for each run, in the order asked.")


class ComparisonOut(Schema):
    """Runs in the order asked for."""

    runs: list[ComparedOut]
    settings: list[DifferenceOut]


@router.get("/compare", response=ComparisonOut, summary="Compare runs")
def compare_runs(
    request: ApiRequest,
    id: Annotated[  # noqa: A002 - what the address says
        list[int],
        Query(..., description="Runs to compare; repeat it.", max_length=50),
    ],
) -> dict[str, Any]:
    """Put runs beside each other: final metrics, and how their settings differ."""
    runs = visible_in_order(request, id)
    comparison = compare.compare_runs(runs)
    return {
        "runs": [
            {
                "id": line.run.pk,
                "name": line.run.name,
                "kind": line.run.kind,
                "state": line.run.state,
                "metrics": {
                    column.name: json_number(figure.value)
                    for column, figure in zip(
                        comparison.columns, line.figures, strict=True
                    )
                    if figure.value is not None
                },
                "best": [
                    column.name
                    for column, figure in zip(
                        comparison.columns, line.figures, strict=True
                    )
                    if figure.is_best
                ],
                "seconds": line.duration_s,
                "changes": [change._asdict() for change in line.changes],
                "words": line.words if line.place else "",
            }
            for line in comparison.lines
        ],
        "settings": [
            {"setting": one.setting, "label": one.label, "values": one.values}
            for one in comparison.settings
        ],
    }


def visible_in_order(request: ApiRequest, ids: list[int]) -> list[Run]:
    """Return the runs asked for, each once; Http404 where one cannot be seen."""
    wanted = list(dict.fromkeys(ids))
    if any(not 0 < pk < 2**63 for pk in wanted):
        raise Http404
    found = queries.runs_visible_to(request.user).in_bulk(wanted)
    if not wanted:
        raise ApiError(422, "name at least one run as ?id=", field="id")
    if len(found) < len(wanted):
        raise Http404
    return [found[pk] for pk in wanted]
