"""Runs beside each other in a real browser: their lines, the legend, the axis."""

import pytest
from django.test import Client
from django.urls import reverse
from journey import wait_for
from trivium.metrics.services import Point, append_points, stream_end, take_stream
from trivium.runs.models import Run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
LINES = """
() => (window.Bokeh?.documents ?? []).flatMap((document) =>
  [...document._all_models.values()]
    .filter((model) => model.type === "GlyphRenderer" && model.glyph.type === "Line")
    .map((model) => ({visible: model.visible, x: model.data_source.data.x?.at(-1)})))
"""


@pytest.fixture
def runs(project, bob) -> list[Run]:
    """Three runs with an even number of tokens a step, and one curve each."""
    spec = {"kind": "pretrain", "dataset": "1", "tokenizer": "1", "context": 64}
    made = []
    for number in range(3):
        run = Run.objects.create(
            project=project,
            created_by=bob,
            kind="pretrain",
            name=f"run {number}",
            spec={**spec, "batch_size": 2, "layers": 2 + number},
            spec_sha256="0",
            state="succeeded",
        )
        seen = stream_end(run.pk)
        take_stream(run_id=run.pk, fence=1, seen=seen, last_points=[], resume_step=None)
        points = [Point("validation/loss", step, 5.0 - number) for step in range(1, 51)]
        append_points(run_id=run.pk, fence=1, points=points, start=0, end=1)
        made.append(run)
    return made


@pytest.fixture
def session(bob) -> str:
    client = Client()
    client.force_login(bob)
    return client.cookies["sessionid"].value


# The rows are there before the browser: its event loop forbids the ORM's calls.
def test_lines_are_drawn_hidden_and_rescaled(runs, session, live_server, new_page):
    page = new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.context.add_cookies(
        [{"name": "sessionid", "value": session, "url": live_server.url}]
    )
    ids = ",".join(str(run.pk) for run in runs)
    page.goto(
        f"{live_server.url}{reverse('runs:compare', args=['grammar'])}?runs={ids}"
    )
    page.locator("#compare-grid").scroll_into_view_if_needed()
    page.wait_for_selector("#compare-grid [data-lines='3']")
    assert [line["x"] for line in page.evaluate(LINES)] == [50] * 3

    page.get_by_label("Draw run 1").uncheck()
    assert [line["visible"] for line in page.evaluate(LINES)] == [True, False, True]

    page.locator("#compare-x").select_option("tokens")

    def over_tokens() -> list[dict]:
        return [line for line in page.evaluate(LINES) if line["x"] == 6400]

    wait_for(lambda: len(over_tokens()) == 3)
    shown = over_tokens()
    # What was hidden stays hidden when the chart is drawn anew.
    assert [line["visible"] for line in shown] == [True, False, True]
    assert said == []


def test_runs_are_chosen_by_keyboard_and_compared(runs, session, live_server, new_page):
    page = new_page(width=390, height=844)
    page.context.add_cookies(
        [{"name": "sessionid", "value": session, "url": live_server.url}]
    )
    page.goto(f"{live_server.url}{reverse('runs:list', args=['grammar'])}")
    button = page.locator("#compare-chosen")
    assert button.is_disabled()
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    assert button.inner_text() == "Compare 2 chosen runs"
    button.click()
    page.wait_for_url("**/compare/**")
    assert page.locator("h1").inner_text() == "2 runs beside each other"
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
