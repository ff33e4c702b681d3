"""One run: header, failure, tabs, log; what each role and a stranger gets."""

import pytest
from runspec.layout import log_file
from trivium import storage
from trivium.runs.models import Attempt, Checkpoint, Run, RunWarning, Sample
from trivium.runs.watching import TABS

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])


def write_log(run: Run, text: str, attempt: int = 1) -> None:
    file = log_file(storage.run_folder(run.pk), attempt)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def failed(pretrain, set_state) -> Run:
    """A run that ran out of memory."""
    Attempt.objects.create(run=pretrain, fence=1, outcome="failed")
    return set_state(
        pretrain,
        "failed",
        fence=1,
        error_class="out_of_memory",
        reason="The device ran out of memory at step 3.",
        advice="Lower batch_size.",
    )


@pytest.mark.parametrize("tab", ["", "nonsense", *TABS])
def test_every_tab_is_readable_in_every_kind(
    tab, bobs, ingest, tokenizer_run, pretrain, url
):
    for run in (ingest, tokenizer_run, pretrain):
        page = bobs.get(url("detail", run), {"tab": tab})
        assert page.status_code == 200
        assert run.name in page.content.decode()


@pytest.mark.parametrize("tab", TABS)
def test_a_run_with_a_past_shows_it(tab, bobs, pretrain, set_state, url):
    set_state(pretrain, "running", step=5, total_steps=10, eta_s=9.0, tokens_per_s=1e4)
    Checkpoint.objects.create(
        run=pretrain, step=5, fence=1, path="c", manifest_sha256="ab" * 32, metric=1.5
    )
    Sample.objects.create(
        run=pretrain, fence=1, step=5, prompt="<b>Once", text="</pre><script>x()"
    )
    RunWarning.objects.create(run=pretrain, fence=1, step=5, message="<i>careful")
    write_log(pretrain, "<script>y()</script> step 5\n")
    page = bobs.get(url("detail", pretrain), {"tab": tab}).content.decode()
    for hostile in ("<b>Once", "<script>x()", "<i>careful", "<script>y()"):
        assert hostile not in page
    assert "5 / 10 steps" in page
    assert "≈ 9.0" in page


def test_a_failed_run_opens_on_its_failure(bobs, failed, url):
    page = bobs.get(url("detail", failed))
    text = page.content.decode()
    assert "The device ran out of memory at step 3." in text
    assert "Retry with this change" in text
    assert page.context["tab"] == "log"
    assert page.context["retry_form"]["batch_size"].initial == 8
    assert page.context["retry_form"]["accumulation"].initial == 2


def test_a_viewer_sees_the_failure_but_no_button(client, vera, failed, url):
    client.force_login(vera)
    text = client.get(url("detail", failed)).content.decode()
    assert "The device ran out of memory" in text
    assert "Retry with" not in text
    assert "/cancel/" not in text


def test_charts_alone_relax_the_style_policy(bobs, pretrain, url):
    charts = bobs.get(url("detail", pretrain), {"tab": "charts"})
    others = bobs.get(url("detail", pretrain), {"tab": "log"})
    assert "style-src 'self' 'unsafe-inline'" in charts["Content-Security-Policy"]
    assert "script-src 'self';" in charts["Content-Security-Policy"]
    assert "unsafe-inline" not in others["Content-Security-Policy"]
    assert b"bokeh.min.js" in charts.content
    assert b"bokeh" not in others.content


def test_htmx_gets_the_tab_alone(bobs, pretrain, url):
    headers = {"HX-Request": "true", "HX-Target": "tab"}
    part = bobs.get(url("detail", pretrain), {"tab": "spec"}, headers=headers)
    assert b"<html" not in part.content
    assert b"Context length" in part.content


@pytest.mark.parametrize("name", ["detail", "log", "chart-data", "stream"])
def test_a_stranger_finds_nothing(name, client, mallory, pretrain, url):
    client.force_login(mallory)
    assert client.get(url(name, pretrain)).status_code == 404
    address = url(name, pretrain).replace("/p/grammar/", "/p/elsewhere/")
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("name", ["detail", "log", "chart-data", "stream"])
def test_an_anonymous_person_is_sent_to_sign_in(name, client, pretrain, url):
    assert client.get(url(name, pretrain)).status_code == 302


def test_a_run_that_is_not_there_is_not_found(bobs, project):
    for number in (0, 10**18, 10**30):
        assert bobs.get(f"/p/{project.slug}/runs/{number}/").status_code == 404


def test_the_log_is_plain_text_and_can_be_downloaded(bobs, pretrain, set_state, url):
    set_state(pretrain, "running")
    write_log(pretrain, "<b>one\ntwo\n")
    shown = bobs.get(url("log", pretrain))
    assert shown["Content-Type"] == "text/plain; charset=utf-8"
    assert shown.content == b"<b>one\ntwo\n"
    file = bobs.get(url("log", pretrain), {"download": "1", "attempt": "1"})
    assert "attachment" in file["Content-Disposition"]
    for attempt in ("0", "x", "99", "9" * 18):
        answer = bobs.get(url("log", pretrain), {"attempt": attempt})
        assert answer.status_code == 200


def test_an_older_attempts_log_can_be_read(bobs, pretrain, set_state, url):
    set_state(pretrain, "running", fence=2)
    write_log(pretrain, "first attempt", attempt=1)
    write_log(pretrain, "second attempt", attempt=2)
    newest = bobs.get(url("detail", pretrain), {"tab": "log"}).content
    oldest = bobs.get(url("detail", pretrain), {"tab": "log", "attempt": "1"}).content
    assert b"second attempt" in newest
    assert b"first attempt" in oldest
    assert b"data-live" not in oldest
