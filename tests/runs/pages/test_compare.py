"""Runs beside each other: which, in what words, in what order, with what points."""

import json
import math

import pytest
from django.utils import timezone
from runspec import PretrainSpec
from trivium.datasets.models import DatasetVersion
from trivium.runs import compare, differences, kinds
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])


@pytest.fixture
def three(project, bob, pretrain, version, add_points) -> list[Run]:
    """Three runs that differ in rate and data, each with two curves."""
    second = DatasetVersion.objects.create(
        dataset=version.dataset, number=2, path="datasets/two", rows=1
    )
    runs = [pretrain]
    for name, values in {
        "Slow": {"learning_rate": 3e-4},
        "Other": {"learning_rate": 3e-4, "dataset": str(second.pk)},
    }.items():
        spec = PretrainSpec.model_validate({**pretrain.spec, **values})
        runs.append(
            kinds.start_run(project=project, created_by=bob, spec=spec, name=name)
        )
    for run, loss in zip(runs, (2.0, 1.5, 3.0), strict=True):
        add_points(
            run,
            {
                "validation/loss": [(1, 9.0), (10, loss)],
                "train/loss": [(step, 5.0 - step / 10) for step in range(1, 11)],
                "train/tokens_per_s": [(5, 2048.0), (10, 1024.0)],
            },
        )
    return runs


def address(url, runs: list[Run]) -> str:
    return f"{url('compare')}?runs={','.join(str(run.pk) for run in runs)}"


def test_the_page_says_how_runs_differ_in_words(bobs, three, url):
    page = bobs.get(address(url, three))
    text = page.content.decode()
    assert "learning rate 1e-3 → 3e-4" in text
    assert "dataset Corpus v1 → Corpus v2; learning rate 1e-3 → 3e-4" in text
    assert "3 runs beside each other" in " ".join(text.split())


def test_the_best_of_each_metric_is_marked(three):
    comparison = compare.compare_runs(three)
    names = [column.name for column in comparison.columns]
    assert names[:2] == ["validation/loss", "train/loss"]
    best = [line.run.name for line in comparison.lines if line.figures[0].is_best]
    assert best == ["Slow"]
    speed = names.index("train/tokens_per_s")
    assert all(line.figures[speed].is_best for line in comparison.lines)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("validation/loss", ["Slow", "Model", "Other"]),
        ("-validation/loss", ["Other", "Model", "Slow"]),
        ("nonsense", ["Model", "Slow", "Other"]),
        ("", ["Model", "Slow", "Other"]),
    ],
)
def test_the_table_is_sorted_by_the_address(sort, expected, bobs, three, url):
    page = bobs.get(f"{address(url, three)}&sort={sort}")
    lines = page.context["comparison"].lines
    assert [line.run.name for line in lines] == expected


def test_a_run_without_the_metric_comes_last_either_way(three, tokenizer_run):
    runs = [tokenizer_run, *three]
    for sort in ("validation/loss", "-validation/loss"):
        lines = compare.compare_runs(runs, sort=sort).lines
        assert lines[-1].run == tokenizer_run


def test_runs_of_two_kinds_share_what_both_have(three, tokenizer_run):
    names = differences.name_references([three[0], tokenizer_run])
    changes = differences.changes_between(three[0], tokenizer_run, names)
    assert [change.setting for change in changes] == ["kind"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3e-4, "3e-4"),
        (0.05, "0.05"),
        (1.25e-5, "1.25e-5"),
        (0.0, "0"),
        (2.5e7, "2.5e7"),
        (20_000, "20,000"),
        (True, "yes"),
        (None, "empty"),
        ("", "empty"),
        (["a", "b"], "a, b"),
        ("x" * 200, "x" * 59 + "…"),
    ],
)
def test_values_are_said_as_people_write_them(value, words):
    assert differences.value_in_words(value) == words


def test_what_is_gone_is_named_by_its_number(three):
    gone = three[2].spec["dataset"]
    DatasetVersion.objects.filter(pk=gone).delete()
    names = differences.name_references(three)
    (change, *_) = differences.changes_between(three[0], three[2], names)
    assert change.after == f"#{gone} (gone)"


def points(client, url, runs, **params) -> list[dict]:
    ids = ",".join(str(run.pk) for run in runs)
    answer = client.get(url("compare-data"), {"runs": ids, **params})
    return answer.json()["curves"]


def test_points_come_over_steps_tokens_and_time(bobs, three, url):
    name = "validation/loss"
    (curve, *_) = points(bobs, url, three, name=name)
    assert (curve["x"], curve["values"]) == ([1, 10], [9.0, 2.0])
    (curve, *_) = points(bobs, url, three, name=name, x="tokens")
    assert curve["x"] == [2048, 20480]  # 16 rows of 128 tokens
    (curve, *_) = points(bobs, url, three, name=name, x="time")
    # Five steps at one second, then five at two.
    assert curve["x"] == [1, 15]


def test_time_falls_back_on_the_whole_duration(three):
    run = three[0]
    run.started = timezone.now()
    run.ended = run.started + timezone.timedelta(seconds=100)
    run.step = 10
    clock = compare.clock_of(run, None)
    assert clock(compare.Curve(*map(compare.np.array, ([5], [1.0])))).tolist() == [50]


def test_the_overview_lists_charts_and_runs(bobs, three, url):
    ids = ",".join(str(run.pk) for run in three)
    told = bobs.get(url("compare-data"), {"runs": ids}).json()
    assert told["charts"][0] == {
        "name": "validation/loss",
        "title": "Validation loss",
    }
    assert [run["name"] for run in told["runs"]] == ["Model", "Slow", "Other"]


def test_gaps_stay_gaps_and_digits_are_few():
    told = compare.as_json(compare.np.array([1 / 3, math.nan, math.inf, 0.0, -2e-9]))
    assert told == [0.333333, None, None, 0.0, -2e-9]
    assert json.dumps(told)


def test_chosen_runs_are_taken_to_the_comparison(bobs, three, url):
    ids = [str(run.pk) for run in three]
    answer = bobs.post(url("choose"), {"run": [*ids, "x", "-1"]})
    assert answer["Location"] == address(url, three)
    answer = bobs.post(url("choose"), follow=True)
    assert b"No run was chosen" in answer.content


@pytest.mark.parametrize("runs", ["", "x", "1,,2", "-1", "99999999999999999999", "²"])
def test_nonsense_in_the_address_is_no_error(runs, bobs, three, url):
    page = bobs.get(url("compare"), {"runs": runs})
    assert page.status_code == 200
    told = bobs.get(url("compare-data"), {"runs": runs, "name": "\0", "x": "y"})
    assert told.status_code == 200


def test_runs_of_another_project_are_left_out_and_said(client, mallory, three, url):
    client.force_login(mallory)
    page = client.get(
        "/p/elsewhere/runs/compare/", {"runs": ",".join(str(run.pk) for run in three)}
    )
    assert page.context["comparison"].lines == []
    assert b"are left out" in page.content
    assert b"Slow" not in page.content


def test_strangers_and_anonymous_people_compare_nothing(
    client, mallory, vera, three, url
):
    for name in ("compare", "compare-data"):
        client.force_login(mallory)
        assert client.get(url(name)).status_code == 404
        client.force_login(vera)
        assert client.get(url(name)).status_code == 200
        client.logout()
        assert client.get(url(name)).status_code == 302


def test_a_hostile_name_is_shown_as_text(bobs, three, url):
    Run.objects.filter(pk=three[1].pk).update(
        name="<script>alert(1)</script>\u202eevil"
    )
    assert b"<script>alert" not in bobs.get(address(url, three)).content


def test_fifty_runs_cost_as_many_queries_as_three(
    bobs, project, three, url, django_assert_max_num_queries
):
    Run.objects.bulk_create(
        Run(project=project, kind="pretrain", name=f"r{n}", spec=three[0].spec)
        for n in range(47)
    )
    runs = list(Run.objects.filter(kind="pretrain"))
    assert len(runs) == 50
    with django_assert_max_num_queries(20):
        page = bobs.get(address(url, runs))
    assert len(page.context["comparison"].lines) == 50
