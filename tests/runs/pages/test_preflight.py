"""The preflight tab: live, passed, refused; mending in one click; check only."""

import pytest
from preflight_reports import (
    CLASSIFIED,
    PASSED,
    REFUSED,
    TRANSLATED,
    BatchRow,
    Check,
    Piece,
    PreflightReport,
    row,
)
from runspec import PreflightSpec, SftSpec
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.runs.sweeping import promote_waiting

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])


@pytest.fixture
def end_preflight(preflight, set_state):
    """Let the preflight end with a report, and the run that waits hear of it."""

    def end(report: PreflightReport, run: Run = preflight) -> None:
        failed = [check for check in report.checks if check.status == "failed"]
        set_state(
            run,
            "failed" if failed else "succeeded",
            fence=1,
            result={"report": report.model_dump(mode="json")},
            reason=failed[0].sentence if failed else "",
            error_class="bad_input" if failed else "",
        )
        promote_waiting()

    return end


@pytest.fixture
def check_only(project, bob, model, instructions) -> Run:
    training = SftSpec(model=str(model.pk), datasets=(str(instructions.pk),))
    spec = PreflightSpec(training=training)
    return kinds.start_run(project=project, created_by=bob, spec=spec, name="Look")


def text_of(response) -> str:
    return response.content.decode()


def test_a_run_that_waits_for_its_preflight_opens_on_it(bobs, sft, url):
    page = bobs.get(url("detail", sft))
    assert page.context["tab"] == "preflight"
    assert "The preflight is about to begin" in text_of(page)


def test_a_preflight_at_work_says_what_it_does(bobs, sft, preflight, set_state, url):
    set_state(preflight, "running", step=2, total_steps=8, phase="writing the batch")
    page = text_of(bobs.get(url("detail", sft)))
    assert "Looking at what the model will see" in page
    assert "writing the batch" in page


def test_a_refused_run_opens_on_what_must_be_mended(bobs, sft, end_preflight, url):
    end_preflight(REFUSED)
    page = bobs.get(url("detail", sft))
    assert page.context["tab"] == "preflight"
    statuses = [one.check.status for one in page.context["inspection"].findings]
    assert statuses == ["failed", "warning", "ok", "ok"]
    assert "Not ready: 1 thing must be mended first" in text_of(page)
    assert "Use ChatML and try again" in text_of(page)


def test_a_passed_preflight_stays_on_the_page(bobs, sft, end_preflight, set_state, url):
    end_preflight(PASSED)
    sft.refresh_from_db()
    assert sft.state == "queued"
    set_state(sft, "running")
    assert bobs.get(url("detail", sft)).context["tab"] == "charts"
    page = text_of(bobs.get(url("detail", sft), {"tab": "preflight"}))
    assert "Ready, with 1 thing to look at" in page
    assert "Training has begun" in page
    assert "{% for" not in page
    assert "34\N{NO-BREAK SPACE}%" in page
    assert "1.9\N{NO-BREAK SPACE}GB" in page


def test_trained_and_masked_tokens_are_drawn_apart(bobs, sft, end_preflight, url):
    end_preflight(PASSED)
    page = text_of(bobs.get(url("detail", sft), {"tab": "preflight"}))
    title = 'title="7 tokens, learned from"'
    assert f'<span class="seen seen--trained" {title}>Ada lives in Ulm.</span>' in page
    assert (
        f'<span class="seen seen--trained seen--special" {title}>'
        "&lt;|im_end|&gt;</span>" in page
    )
    assert '<span class="seen seen--special" title="14 tokens, only read">' in page


@pytest.mark.parametrize(
    ("report", "shown"), [(CLASSIFIED, "positive"), (TRANSLATED, "guten Tag")]
)
def test_other_tasks_show_what_shall_be_said(
    report, shown, bobs, sft, end_preflight, url
):
    end_preflight(report)
    page = text_of(bobs.get(url("detail", sft), {"tab": "preflight"}))
    assert "sees__text--answer" in page
    assert shown in page


def test_hostile_text_of_a_batch_is_inert(bobs, sft, end_preflight, url):
    evil = "<script>x()</script>\u202e"
    check = Check(name="<b>", title=evil, status="failed", sentence=evil, button=evil)
    batch = [row([(evil, 3, True)]), BatchRow(pieces=[], tokens=0, trained_tokens=0)]
    end_preflight(PreflightReport(checks=[check], batch=batch, facts={evil: evil}))
    page = text_of(bobs.get(url("detail", sft)))
    assert "<script>x()" not in page
    assert "RLO" in page


def test_a_long_row_is_cut_for_the_page(bobs, sft, end_preflight, url):
    pieces = [Piece(text="word " * 40_000, tokens=40_000, is_trained=True)]
    long = BatchRow(pieces=pieces, tokens=40_000, trained_tokens=40_000)
    end_preflight(PreflightReport(checks=[], batch=[long]))
    page = text_of(bobs.get(url("detail", sft), {"tab": "preflight"}))
    assert page.count("word ") <= 800


def test_a_preflight_without_a_report_says_why(bobs, sft, preflight, set_state, url):
    set_state(preflight, "failed", fence=1, reason="The worker died.")
    promote_waiting()
    page = text_of(bobs.get(url("detail", sft)))
    assert "ended without a report" in page
    assert "The worker died." in page


def test_one_click_mends_a_refused_run(bobs, sft, end_preflight, url):
    end_preflight(REFUSED)
    page = bobs.post(url("mend", sft), {"check": "end_token"}, follow=True)
    new = page.context["run"]
    assert new.pk != sft.pk
    assert new.spec == {**sft.spec, "chat_template": "chatml"}
    assert new.state == "waiting"
    assert page.context["tab"] == "preflight"


@pytest.mark.parametrize("check", ["template", "nonsense", ""])
def test_a_check_without_a_cure_changes_nothing(check, bobs, sft, end_preflight, url):
    end_preflight(REFUSED)
    page = bobs.post(url("mend", sft), {"check": check}, follow=True)
    assert "knows no setting" in text_of(page)
    assert Run.objects.filter(kind="sft").count() == 1


def test_a_run_that_waits_cannot_be_mended_yet(bobs, sft, preflight, set_state, url):
    report = {"report": REFUSED.model_dump(mode="json")}
    set_state(preflight, "running", result=report)
    page = bobs.post(url("mend", sft), {"check": "end_token"}, follow=True)
    assert "only a failed or cancelled run" in text_of(page)


def test_a_change_that_does_not_fit_is_refused_in_words(bobs, sft, end_preflight, url):
    odd = REFUSED.checks[1].model_copy(update={"changes": {"lora_rank": 8}})
    end_preflight(PreflightReport(checks=[odd]))
    page = bobs.post(url("mend", sft), {"check": "end_token"}, follow=True)
    assert "Lora_rank would be ignored: method is full." in text_of(page)


def test_a_warning_of_a_run_under_way_leads_to_the_form(bobs, sft, end_preflight, url):
    end_preflight(PASSED)
    page = text_of(bobs.get(url("detail", sft), {"tab": "preflight"}))
    address = f"{url('new')}?kind=sft&from={sft.pk}&mend=too_long"
    assert address.replace("&", "&amp;") in page
    form = bobs.get(address).context["form"]
    assert form["too_long"].initial == "truncate"


def test_check_only_shows_the_same_and_offers_to_start(
    bobs, check_only, end_preflight, url
):
    end_preflight(PASSED, check_only)
    page = bobs.get(url("detail", check_only))
    assert page.context["tab"] == "preflight"
    assert "Start training with these settings" in text_of(page)
    started = bobs.post(url("start-checked", check_only), follow=True)
    run = started.context["run"]
    assert (run.kind, run.name) == ("sft", "Look")
    assert run.spec == check_only.spec["training"]


def test_a_check_whose_name_a_model_took_starts_under_another(
    bobs, check_only, make_model, url
):
    make_model("Look")
    started = bobs.post(url("start-checked", check_only), follow=True)
    assert started.context["run"].name == "Fabler Instructions"


def test_a_refused_check_is_mended_as_a_check(bobs, check_only, end_preflight, url):
    end_preflight(REFUSED, check_only)
    page = text_of(bobs.get(url("detail", check_only)))
    assert "Start training with these settings" not in page
    new = bobs.post(url("mend", check_only), {"check": "end_token"}, follow=True)
    run = new.context["run"]
    assert run.kind == "preflight"
    assert run.spec["training"]["chat_template"] == "chatml"


def test_only_a_check_can_be_started_as_one(bobs, sft, url):
    page = bobs.post(url("start-checked", sft), follow=True)
    assert "Only a preflight" in text_of(page)


def test_runs_without_a_preflight_have_no_such_tab(bobs, tokenizer_run, sft, url):
    def names(run: Run) -> list[str]:
        return [tab["name"] for tab in bobs.get(url("detail", run)).context["tabs"]]

    assert "preflight" not in names(tokenizer_run)
    assert "preflight" in names(sft)


def test_the_page_hears_of_its_preflight(bobs, sft, preflight, end_preflight, url):
    def told(query: dict[str, str]) -> dict[str, str]:
        query |= {"once": "1", "tab": "preflight"}
        answer = bobs.get(url("stream", sft), query).json()
        return dict(answer["events"]) | {"cursor": answer["cursor"]}

    cursor = bobs.get(url("detail", sft)).context["cursor"]
    before = told({"cursor": cursor})
    assert "preflight" not in before
    end_preflight(PASSED)
    after = told({"cursor": before["cursor"]})
    assert "Ready, with 1 thing to look at" in after["preflight"]
    assert "run-preflight" not in after["preflight"]


@pytest.mark.parametrize("name", ["mend", "start-checked"])
def test_only_engineers_act_on_a_preflight(name, client, vera, mallory, sft, url):
    for user, status in ((vera, 403), (mallory, 404)):
        client.force_login(user)
        assert client.post(url(name, sft)).status_code == status
        assert client.get(url(name, sft)).status_code == 405
    client.logout()
    assert client.post(url(name, sft)).status_code == 302


def test_a_viewer_sees_checks_without_buttons(client, vera, sft, end_preflight, url):
    end_preflight(REFUSED)
    client.force_login(vera)
    page = text_of(client.get(url("detail", sft)))
    assert "would not learn to stop" in page
    assert "Use ChatML and try again" not in page


def test_a_report_of_another_version_does_not_break_the_page(
    bobs, sft, preflight, set_state, url
):
    for report in (None, [], {"checks": 5}, {"checks": [{"name": "x"}]}):
        set_state(preflight, "succeeded", result={"report": report})
        assert bobs.get(url("detail", sft), {"tab": "preflight"}).status_code == 200
