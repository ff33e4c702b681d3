"""Sweeps: planned, queued whole or not at all, shown, cancelled together."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from trivium.runs import sweeps
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run, Sweep
from trivium.runs.sweep_plan import Axis

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
HTMX = {"HX-Request": "true"}
RATES = Axis(setting="learning_rate", values=(1e-3, 5e-4))
LAYERS = Axis(setting="layers", values=(2, 4))
FORM = {"method": "grid", "setting_1": "learning_rate", "values_1": "1e-3, 5e-4"}


@pytest.fixture
def sweep(pretrain, bob) -> Sweep:
    return sweeps.start_sweep(run=pretrain, actor=bob, axes=[RATES, LAYERS])


def page_of(sweep: Sweep, name: str = "sweep-detail") -> str:
    return reverse(f"runs:{name}", args=[sweep.project.slug, sweep.pk])


def test_members_share_all_but_what_is_swept(sweep, pretrain):
    members = list(sweep.runs.order_by("pk"))
    assert [run.sweep_values for run in members] == [
        {"learning_rate": rate, "layers": layers}
        for rate in (1e-3, 5e-4)
        for layers in (2, 4)
    ]
    for run in members:
        assert run.spec == {**pretrain.spec, **run.sweep_values}
        assert run.model.name == run.name
    assert members[1].name == "Model · learning rate 1e-3, layers 4"


def test_the_same_sweep_again_gets_names_of_its_own(sweep, pretrain, bob):
    again = sweeps.start_sweep(run=pretrain, actor=bob, axes=[RATES])
    again = sweeps.start_sweep(run=pretrain, actor=bob, axes=[RATES])
    assert again.runs.order_by("pk").first().name.endswith("learning rate 1e-3 2")


def test_more_than_may_be_queued_queues_nothing(pretrain, bob, settings):
    settings.MAX_QUEUED_PER_USER = 6
    before = Run.objects.count()
    with pytest.raises(SubmitError, match=r"makes 4 runs; you have 3 queued and 6"):
        sweeps.start_sweep(run=pretrain, actor=bob, axes=[RATES, LAYERS])
    assert (Run.objects.count(), Sweep.objects.count()) == (before, 0)
    assert sweeps.start_sweep(run=pretrain, actor=bob, axes=[RATES]).runs.count() == 2


def test_a_member_that_cannot_start_takes_the_others_with_it(
    pretrain, bob, monkeypatch
):
    start, started = sweeps.kinds.start_run, []

    def fail_late(**given):
        if started:
            raise SubmitError("the disk is full")
        started.append(start(**given))
        return started[-1]

    monkeypatch.setattr(sweeps.kinds, "start_run", fail_late)
    with pytest.raises(SubmitError, match="the disk is full"):
        sweeps.start_sweep(run=pretrain, actor=bob, axes=[RATES])
    assert len(started) == 1
    assert not Run.objects.filter(pk=started[0].pk).exists()
    assert not Sweep.objects.exists()


def test_an_ingest_has_nothing_to_sweep(ingest, bob, bobs, url):
    with pytest.raises(SubmitError, match="cannot be swept"):
        sweeps.start_sweep(run=ingest, actor=bob, axes=[RATES])
    assert bobs.get(url("sweep", ingest)).status_code == 404


def test_time_is_told_from_the_run_it_starts_from(pretrain, bob, set_state):
    unknown = sweeps.preview_sweep(pretrain, bob, [RATES])
    assert unknown.cost.device_s is None
    now = timezone.now()
    set_state(pretrain, "succeeded", started=now - timedelta(seconds=100), ended=now)
    steps = Axis(setting="max_steps", values=(1000, 3000))
    cost = sweeps.preview_sweep(pretrain, bob, [steps]).cost
    assert cost.device_s == pytest.approx(400)
    assert cost.wall_s == pytest.approx(400)


def test_a_preview_says_what_it_would_do_and_does_nothing(bobs, pretrain, url):
    page = bobs.post(url("sweep", pretrain), {**FORM, "preview": "1"}, headers=HTMX)
    text = page.content.decode()
    assert "<html" not in text
    assert "learning rate 5e-4" in text
    assert "Queue 2 runs" in " ".join(text.split())
    assert not Sweep.objects.exists()


def test_the_form_queues_the_runs(bobs, pretrain, url):
    page = bobs.post(url("sweep", pretrain), FORM, follow=True)
    assert b"2 runs queued." in page.content
    assert page.context["sweep"].runs.count() == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"values_1": "1..x"}, "a range needs low and high"),
        ({"values_1": "7"}, "Input should be less than or equal to 1"),
        ({"setting_1": "", "values_1": "7"}, "Choose what these values are of"),
        ({"setting_1": "dataset"}, "Select a valid choice"),
        ({"values_1": ""}, "A sweep takes 1 to"),
        ({"method": "magic"}, "Select a valid choice"),
        ({"values_1": "\0"}, "Null characters are not allowed"),
        ({"method": "random", "number": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_form_is_refused_in_words(values, said, bobs, pretrain, url):
    page = bobs.post(url("sweep", pretrain), {**FORM, **values})
    assert page.status_code == 200
    assert said in page.content.decode()
    part = bobs.post(
        url("sweep", pretrain), {**FORM, **values, "preview": "1"}, headers=HTMX
    )
    assert part.status_code == 200
    assert not Sweep.objects.exists()


def test_the_page_shows_members_the_best_and_the_metric_by_value(
    bobs, sweep, add_points
):
    for run, loss in zip(sweep.runs.order_by("pk"), (3.0, 2.0, 1.0, 4.0), strict=True):
        add_points(run, {"validation/loss": [(1, loss)]})
    page = bobs.get(page_of(sweep))
    assert page.context["best"].run.sweep_values == {"learning_rate": 5e-4, "layers": 2}
    assert [plot.label for plot in page.context["plots"]] == ["learning rate", "layers"]
    (rates, _) = page.context["plots"]
    assert [point.is_best for point in rates.points] == [False, False, False, True]
    best = rates.points[-1]
    # The lowest loss is drawn lowest, and the smaller rate to the left.
    assert best.y == max(point.y for point in rates.points)
    assert best.x == min(point.x for point in rates.points)
    assert page.content.decode().count("plot__point--best") == 2


def test_the_members_are_polled_until_all_are_finished(bobs, sweep):
    part = bobs.get(page_of(sweep), headers=HTMX)
    assert part.status_code == 200
    assert b"<html" not in part.content
    Run.objects.update(state="succeeded")
    assert bobs.get(page_of(sweep), headers=HTMX).status_code == 286


def test_all_members_are_cancelled_together(bobs, sweep, set_state):
    first = sweep.runs.order_by("pk").first()
    set_state(first, "succeeded")
    page = bobs.post(page_of(sweep, "cancel-sweep"), follow=True)
    assert b"Cancelling 3 runs." in page.content
    states = sweep.runs.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["succeeded", "cancelled", "cancelled", "cancelled"]
    again = bobs.post(page_of(sweep, "cancel-sweep"), follow=True)
    assert b"finished already" in again.content


def test_sweeps_are_listed(bobs, sweep, url):
    page = bobs.get(url("sweeps"))
    assert b"Model sweep" in page.content
    assert b"learning rate 1e-3, 5e-4" in page.content


@pytest.mark.parametrize("query", ["metric=x", "sort=%00", "metric=%3Cscript%3E"])
def test_nonsense_in_the_address_is_no_error(query, bobs, sweep, add_points):
    add_points(sweep.runs.first(), {"validation/loss": [(1, 1.0)]})
    page = bobs.get(f"{page_of(sweep)}?{query}")
    assert page.status_code == 200
    assert b"<script>" not in page.content


def test_strangers_viewers_and_anonymous_people(
    client, mallory, vera, sweep, pretrain, url
):
    reads = [page_of(sweep), url("sweeps")]
    writes = [page_of(sweep, "cancel-sweep"), url("sweep", pretrain)]
    for user, read, write in ((mallory, 404, 404), (vera, 200, 403)):
        client.force_login(user)
        assert [client.get(one).status_code for one in reads] == [read, read]
        assert [client.post(one, FORM).status_code for one in writes] == [write, write]
    client.logout()
    assert {client.get(one).status_code for one in reads} == {302}
    assert {client.post(one, FORM).status_code for one in writes} == {302}
    assert Sweep.objects.count() == 1
    elsewhere = reverse("runs:sweep-detail", args=["elsewhere", sweep.pk])
    client.force_login(mallory)
    assert client.get(elsewhere).status_code == 404
