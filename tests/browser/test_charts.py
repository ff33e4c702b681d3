"""Charts of a run in a real browser: what is drawn can be seen."""

import pytest
from django.test import Client
from journey import wait_for
from playwright.sync_api import Page
from runspec import RlhfSpec
from trivium.metrics.services import Point, append_points, stream_end, take_stream
from trivium.runs.models import Run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
PARTS = ("length", "format", "no_repetition", "reward_model")
DRAWN = """
() => (window.Bokeh?.documents ?? []).flatMap((one) => one.roots()).map((figure) => ({
  isInside: figure.center.some((one) => one.type === "Legend"),
  height: figure.properties.inner_height.is_unset ? 0 : figure.inner_height,
}))
"""


@pytest.fixture
def rlhf(project, bob) -> Run:
    """A run of RLHF whose reward has many parts."""
    spec = RlhfSpec(model="1", datasets=("1",), reward_functions=("length", "format"))
    run = Run.objects.create(
        project=project,
        created_by=bob,
        kind="rlhf",
        name="Policy",
        spec=spec.model_dump(mode="json"),
        spec_sha256="0",
        state="succeeded",
    )
    seen = stream_end(run.pk)
    take_stream(run_id=run.pk, fence=1, seen=seen, last_points=[], resume_step=None)
    points = [
        Point(f"{split}/reward/{part}", step, step / 50)
        for split in ("train", "validation")
        for part in PARTS
        for step in range(1, 51)
    ]
    append_points(run_id=run.pk, fence=1, points=points, start=0, end=1)
    return run


@pytest.fixture
def session(bob) -> str:
    client = Client()
    client.force_login(bob)
    return client.cookies["sessionid"].value


# The rows are there before the browser: its event loop forbids the ORM's calls.
@pytest.mark.parametrize("width", [390, 1280])
def test_a_legend_of_many_lines_leaves_the_plot_free(
    rlhf, session, live_server, new_page, width
):
    page: Page = new_page(width=width, height=844)
    page.context.add_cookies(
        [{"name": "sessionid", "value": session, "url": live_server.url}]
    )
    page.goto(f"{live_server.url}/p/grammar/runs/{rlhf.pk}/?tab=charts")
    wait_for(lambda: any(one["height"] for one in page.evaluate(DRAWN)))
    [chart] = page.evaluate(DRAWN)
    assert not chart["isInside"]
    assert chart["height"] > 150, "the legend takes the plot's room"
