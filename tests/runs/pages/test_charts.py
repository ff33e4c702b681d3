"""Chart data: which curves stand together, points as JSON and CSV."""

import math

import pytest
from trivium.runs import charts
from trivium.runs.models import Attempt, Checkpoint, RunWarning

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])


def test_losses_share_the_first_chart_and_the_rate_has_the_next():
    names = ["train/grad_norm", "train/learning_rate", "train/loss", "validation/loss"]
    made = charts.group_curves(names)
    assert [chart.title for chart in made] == ["Loss", "Learning rate", "Grad norm"]
    assert made[0].curves == ["train/loss", "validation/loss"]


def test_the_overview_names_charts_and_marks(bobs, pretrain, add_points, url):
    add_points(pretrain, {"train/loss": [(1, 3.0)]})
    Checkpoint.objects.create(
        run=pretrain, step=5, fence=1, path="c", manifest_sha256="ab" * 32
    )
    Attempt.objects.create(run=pretrain, fence=2, resumed_from=5)
    RunWarning.objects.create(run=pretrain, fence=1, step=7, message="Careful.")
    told = bobs.get(url("chart-data", pretrain)).json()
    assert told["charts"] == [{"title": "Loss", "curves": ["train/loss"], "lines": []}]
    assert told["tokens_per_step"] == 16 * 128
    marks = {(mark["kind"], mark["step"]) for mark in told["marks"]}
    assert marks == {("checkpoint", 5), ("resume", 5), ("warning", 7)}


def test_each_curve_is_read_beyond_a_step_of_its_own(bobs, pretrain, add_points, url):
    add_points(
        pretrain,
        {"train/loss": [(1, 3.0), (2, 2.0), (3, 1.0)], "validation/loss": [(2, 2.5)]},
    )
    query = {"name": ["train/loss", "validation/loss"], "after": ["2", ""]}
    curves = bobs.get(url("chart-data", pretrain), query).json()["curves"]
    assert curves == [
        {"name": "train/loss", "steps": [3], "values": [1.0]},
        {"name": "validation/loss", "steps": [2], "values": [2.5]},
    ]


def test_what_is_no_number_is_null(bobs, pretrain, add_points, url):
    values = [(1, math.nan), (2, math.inf), (3, -math.inf), (4, 1.0)]
    add_points(pretrain, {"train/loss": values})
    answer = bobs.get(url("chart-data", pretrain), {"name": "train/loss"})
    assert answer.json()["curves"][0]["values"] == [None, None, None, 1.0]


def test_long_curves_are_thinned_out(bobs, pretrain, add_points, url):
    points = [(step, float(step % 97)) for step in range(20_000)]
    points[12_345] = (12_345, 1e6)
    add_points(pretrain, {"train/loss": points})
    answer = bobs.get(url("chart-data", pretrain), {"name": "train/loss"})
    curve = answer.json()["curves"][0]
    assert len(curve["steps"]) <= charts.MAX_POINTS
    assert max(curve["values"]) == 1e6


@pytest.mark.parametrize(
    "query",
    [
        {"name": "nothing"},
        {"name": ["a\0b"], "after": ["x"]},
        {"name": ["a"] * 500},
        {"after": ["9" * 30]},
    ],
)
def test_wrong_questions_are_no_error(query, bobs, pretrain, add_points, url):
    add_points(pretrain, {"train/loss": [(1, 3.0)]})
    assert bobs.get(url("chart-data", pretrain), query).status_code == 200


def test_every_point_can_be_downloaded(bobs, pretrain, add_points, url):
    points = [(step, step / 2) for step in range(5000)]
    add_points(pretrain, {"train/loss": points, "train/lr": [(1, 0.1)]})
    query = {"format": "csv", "name": "train/loss"}
    lines = bobs.get(url("chart-data", pretrain), query).content.decode().splitlines()
    assert lines[:2] == ["curve,step,value", "train/loss,0,0.0"]
    assert len(lines) == 5001
    everything = bobs.get(url("chart-data", pretrain), {"format": "csv"}).content
    assert b"train/lr,1,0.1" in everything
