"""The list of runs: filters, paging, rows that change, export, who may see it."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from runspec import TokenizerSpec
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
HTMX = {"HX-Request": "true"}


def make_runs(project, number: int) -> list[Run]:
    spec = TokenizerSpec(dataset="1").model_dump(mode="json")
    return Run.objects.bulk_create(
        Run(project=project, kind="tokenizer", name=f"r{n}", spec=spec, spec_sha256="")
        for number_ in [number]
        for n in range(number_)
    )


def shown(response) -> list[str]:
    return [row.run.name for row in response.context["rows"]]


def test_a_viewer_reads_the_list_without_buttons(client, vera, pretrain, url):
    client.force_login(vera)
    page = client.get(url("list"))
    assert shown(page) == ["Model", "Tok", "Corpus"]
    assert b"runs/" in page.content
    assert b"cancel/" not in page.content.split(b"<tbody")[1].split(b"</tbody")[0]


def test_a_stranger_finds_no_list(client, mallory, url):
    client.force_login(mallory)
    assert client.get(url("list")).status_code == 404
    assert client.get(url("export")).status_code == 404
    assert client.get(url("rows")).status_code == 404


def test_an_anonymous_person_is_sent_to_sign_in(client, project, url):
    answer = client.get(url("list"))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=waiting", ["Model", "Tok"]),
        ("kind=ingest", ["Corpus"]),
        ("q=cor", ["Corpus"]),
        ("q=%25", []),
        ("kind=pretrain&state=queued", []),
    ],
)
def test_filters_are_in_the_address(query, expected, bobs, pretrain, url):
    assert shown(bobs.get(f"{url('list')}?{query}")) == expected


@pytest.mark.parametrize(
    "query", ["state=nonsense", "kind=%00", "q=%00", "before=x", "before=-1", "after=²"]
)
def test_a_wrong_filter_is_left_out_and_said(query, bobs, pretrain, url):
    page = bobs.get(f"{url('list')}?{query}")
    assert page.status_code == 200
    assert len(shown(page)) == 3


def test_pages_follow_each_other_both_ways(bobs, project, url):
    make_runs(project, 120)
    first = bobs.get(url("list"))
    second = bobs.get(url("list") + first.context["paged"].older)
    third = bobs.get(url("list") + second.context["paged"].older)
    names = shown(first) + shown(second) + shown(third)
    assert names == [f"r{n}" for n in reversed(range(120))]
    assert third.context["paged"].older == ""
    assert shown(bobs.get(url("list") + third.context["paged"].newer)) == shown(second)


def test_a_page_costs_the_same_number_of_queries_at_any_length(bobs, project, url):
    counts = []
    for number in (5, 55):
        make_runs(project, number)
        bobs.get(url("list"))
        with CaptureQueriesContext(connection) as queries:
            bobs.get(url("list"))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


def test_htmx_gets_the_results_alone(bobs, pretrain, url):
    part = bobs.get(url("list"), headers=HTMX)
    assert b"<html" not in part.content
    assert b'id="results"' in part.content


def test_an_empty_project_says_what_to_do(bobs, project, url):
    page = bobs.get(url("list"))
    assert b"No runs yet" in page.content
    assert b"/data/new/" in page.content


def test_only_rows_that_changed_are_sent(bobs, ingest, tokenizer_run, set_state, url):
    seen = f"{ingest.pk}.{ingest.version},{tokenizer_run.pk}.{tokenizer_run.version}"
    set_state(ingest, "running", step=5, total_steps=10)
    answer = bobs.get(url("rows"), {"seen": seen}, headers=HTMX)
    assert answer.status_code == 200
    assert f'id="run-{ingest.pk}"'.encode() in answer.content
    assert f'id="run-{tokenizer_run.pk}"'.encode() not in answer.content


def test_polling_stops_when_all_shown_runs_are_finished(bobs, ingest, set_state, url):
    set_state(ingest, "succeeded")
    answer = bobs.get(url("rows"), {"seen": f"{ingest.pk}.0"}, headers=HTMX)
    assert answer.status_code == 286


def test_new_runs_are_announced_not_inserted(bobs, ingest, tokenizer_run, url):
    query = {"seen": f"{ingest.pk}.{ingest.version}", "newest": str(ingest.pk)}
    answer = bobs.get(url("rows"), query, headers=HTMX)
    assert b"1 new run\n" in answer.content
    assert b"Tok" not in answer.content


@pytest.mark.parametrize("seen", ["", "x.y", "1", "99999999999999999999.1", "²."])
def test_nonsense_in_a_poll_is_no_error(seen, bobs, ingest, url):
    assert bobs.get(url("rows"), {"seen": seen}).status_code in {200, 286}


def test_another_projects_runs_are_not_polled(client, mallory, ingest):
    client.force_login(mallory)
    answer = client.get("/p/elsewhere/runs/rows/", {"seen": f"{ingest.pk}.0"})
    assert b"Corpus" not in answer.content


def test_the_list_is_exported_as_filtered(bobs, pretrain, url):
    text = bobs.get(url("export"), {"kind": "ingest", "format": "csv"}).content.decode()
    assert text.splitlines()[0].startswith("id,name,kind,state")
    assert len(text.splitlines()) == 2
    rows = json.loads(bobs.get(url("export"), {"format": "json"}).content)["runs"]
    assert [row["name"] for row in rows] == ["Model", "Tok", "Corpus"]


def test_a_name_is_no_formula_in_a_spreadsheet(bobs, ingest, url):
    Run.objects.filter(pk=ingest.pk).update(name='=HYPERLINK("x")')
    text = bobs.get(url("export")).content.decode()
    assert "'=HYPERLINK" in text


def test_a_hostile_name_is_shown_as_text(bobs, ingest, url):
    Run.objects.filter(pk=ingest.pk).update(name="<script>alert(1)</script>")
    assert b"<script>alert" not in bobs.get(url("list")).content
