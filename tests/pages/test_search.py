"""Search by name, and the queue in one line."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from trivium.accounts.models import User
from trivium.campaigns.models import Campaign, Labeler
from trivium.datasets.models import Dataset
from trivium.models.models import LanguageModel
from trivium.pipelines.models import Pipeline
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.workers.models import Device, Worker

SEARCH = "/p/grammar/search/"
QUEUE = "/p/grammar/queue-line/"
HTMX = {"HX-Request": "true"}


def found(client: Client, text: str) -> dict[str, list[str]]:
    groups = client.get(SEARCH, {"q": text}).context["groups"]
    return {group.title: [item.label for item in group.items] for group in groups}


def test_anything_is_found_by_a_part_of_its_name(bobs: Client, model: LanguageModel):
    assert found(bobs, "fab") == {
        "Data": ["Fables"],
        "Models": ["Fabler"],
        "Runs": ["Fabler", "Fables"],
    }
    assert found(bobs, "lett") == {"Tokenizers": ["Letters"], "Runs": ["Letters"]}


def test_htmx_gets_options_to_choose_from(bobs: Client, model: LanguageModel):
    page = bobs.get(SEARCH, {"q": "fab"}, headers=HTMX).text
    assert "<html" not in page
    assert page.count('role="option"') == 4
    assert reverse("models:detail", args=["grammar", model.pk]) in page


def test_a_long_answer_says_that_there_is_more(bobs: Client, project: Project):
    names = [Dataset(project=project, name=f"Part {number}") for number in range(30)]
    Dataset.objects.bulk_create(names)
    page = bobs.get(SEARCH, {"q": "part"}, headers=HTMX).text
    assert "More data…" in page
    assert "/p/grammar/data/?q=part" in page


@pytest.mark.parametrize("noun", ["pipelines", "evaluations", "campaigns"])
def test_the_list_behind_more_is_narrowed_the_same_way(
    bobs: Client, project: Project, noun: str
):
    things = getattr(project, noun)
    for name in ("First try", "Second try", "Other"):
        things.create(name=name)
    address = reverse(f"{noun}:list", args=["grammar"])
    listed = bobs.get(address, {"q": "TRY"})
    assert [name in listed.text for name in ("First try", "Second try", "Other")] == [
        True, True, False,
    ]  # fmt: skip
    assert 'value="TRY"' in listed.text
    none = bobs.get(address, {"q": "<b>\0"}).text
    assert "named like that" in none
    assert "<b>" not in none


@pytest.mark.parametrize(
    "text", ["", "   ", "\0", "%", "_", "'; --", "\u202e", "x" * 999]
)
def test_odd_queries_find_nothing_and_break_nothing(
    bobs: Client, model: LanguageModel, text: str
):
    assert found(bobs, text) == {}


def test_what_was_typed_is_text(bobs: Client, project: Project):
    page = bobs.get(SEARCH, {"q": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page
    assert "Nothing here is named like that" in page


def test_a_pipeline_is_found(bobs: Client, project: Project):
    made = Pipeline.objects.create(project=project, name="All the way")
    assert found(bobs, "all the") == {"Pipelines": ["All the way"]}
    page = bobs.get(SEARCH, {"q": "all the"}).text
    assert reverse("pipelines:detail", args=["grammar", made.pk]) in page


def test_a_campaign_is_found_by_those_it_asks(
    bobs: Client, project: Project, lara: User
):
    for name in ("Helpful answers", "Helpful in secret"):
        Campaign.objects.create(project=project, name=name)
    secret = Campaign.objects.filter(name="Helpful in secret")
    secret.update(is_restricted=True)
    everything = ["Helpful in secret", "Helpful answers"]
    assert found(bobs, "helpful") == {"Campaigns": everything}
    laras = Client()
    laras.force_login(lara)
    assert found(laras, "helpful") == {"Campaigns": ["Helpful answers"]}
    Labeler.objects.create(campaign=secret.get(), user=lara, is_invited=True)
    assert found(laras, "helpful") == {"Campaigns": everything}


def test_other_projects_are_not_searched(
    client: Client, mallory: User, model: LanguageModel
):
    client.force_login(mallory)
    assert client.get(SEARCH, {"q": "fab"}).status_code == 404
    page = client.get("/p/elsewhere/search/", {"q": "fab"})
    assert page.context["groups"] == []


def test_the_queue_line_counts_runs_and_free_devices(
    bobs: Client, pretrain: Run, ingest: Run, set_running: Callable[[Run], None]
):
    set_running(ingest)
    worker = Worker.objects.create(name="w", host="w", heartbeat=timezone.now())
    for index in range(2):
        Device.objects.create(worker=worker, kind="cpu", index=index, name="core")
    Device.objects.filter(index=0).update(run=ingest)
    line = " ".join(bobs.get(QUEUE, headers=HTMX).text.split())
    assert "1 running · 1 queued" in line
    assert "1 of 2 devices free" in line


def test_the_queue_line_says_when_no_worker_is_there(bobs: Client, pretrain: Run):
    assert "no worker is there" in bobs.get(QUEUE).text


def test_strangers_and_passers_by_learn_nothing_of_the_queue(
    client: Client, mallory: User, project: Project
):
    for url in (SEARCH, QUEUE):
        assert client.get(url).status_code == 302
    client.force_login(mallory)
    for url in (SEARCH, QUEUE):
        assert client.get(url).status_code == 404
