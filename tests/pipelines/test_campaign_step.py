"""A step that waits for people, and what goes on when they are done."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from pipelines_lab import (
    LABELED,
    answer_prompts,
    elsewhere,
    fail,
    finish,
    make_model,
    states,
    step_of,
    vote,
    words,
)
from trivium.campaigns.making import close_campaign, open_campaign, pause_campaign
from trivium.campaigns.models import Campaign
from trivium.pipelines import advancing, services
from trivium.pipelines.models import Pipeline
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.runs.sweeping import sweep

pytestmark = pytest.mark.django_db


@pytest.fixture
def instruct(project):
    return make_model(project, "Instruct")


@pytest.fixture
def labeled(make, bob, instruct) -> Pipeline:
    elsewhere(bob)
    return make(LABELED)


def num_exports() -> int:
    return Run.objects.filter(kind="export").count()


def test_votes_lead_on_to_what_learns_from_them(labeled):
    campaign = step_of(labeled, "labels").campaign
    assert campaign.target_votes == 2
    assert campaign.questions["axes"] == "required"
    assert campaign.guidelines.get().text == "Prefer what **helps**."
    assert words(labeled) == {
        "labels": "queued", "aligned": "waiting", "reward": "waiting",
    }  # fmt: skip
    assert states(labeled)["aligned"].reason == "waits for step labels"
    answer_prompts(labeled)
    sweep()
    assert words(labeled)["labels"] == "labeling"
    assert step_of(labeled, "aligned").run is None
    vote(campaign, 1)
    sweep()
    assert num_exports() == 0
    vote(campaign, 1)
    sweep()
    sweep()
    assert num_exports() == 1
    campaign.refresh_from_db()
    assert campaign.state == Campaign.State.PAUSED, "later votes would teach nothing"
    export = step_of(labeled, "labels").run
    assert export.spec["min_share"] == 0.6
    aligned, reward = (step_of(labeled, name).run for name in ("aligned", "reward"))
    version = export.dataset_version
    assert aligned.spec["datasets"] == [str(version.pk)]
    assert reward.spec["datasets"][1] == str(version.pk)
    finish(export)
    sweep()
    finish(aligned)
    finish(reward)
    assert set(words(labeled).values()) == {"succeeded"}


def test_closing_a_campaign_ends_its_step(labeled):
    campaign = answer_prompts(labeled)
    pause_campaign(campaign)
    sweep()
    assert num_exports() == 0
    assert "paused" in states(labeled)["labels"].reason
    close_campaign(campaign)
    sweep()
    assert num_exports() == 1


def test_an_export_that_failed_is_made_again_when_there_are_votes(labeled, bob):
    campaign = answer_prompts(labeled)
    close_campaign(campaign)
    sweep()
    export = step_of(labeled, "labels").run
    fail(export, "no comparison has a vote")
    assert "no comparison has a vote" in states(labeled)["aligned"].reason
    open_campaign(campaign)
    vote(campaign, 3)
    services.retry_step(step_of(labeled, "labels"), actor=bob)
    again = step_of(labeled, "labels").run
    assert again != export
    finish(again)
    sweep()
    assert step_of(labeled, "aligned").run.depends_on.filter(pk=again.pk).exists()
    finish(step_of(labeled, "aligned").run)


def test_answers_that_failed_are_asked_for_again(labeled, bob):
    campaign = step_of(labeled, "labels").campaign
    first = campaign.batches.get().run
    fail(first, "The endpoint is away.")
    assert words(labeled)["labels"] == "failed"
    sweep()
    services.retry_step(step_of(labeled, "labels"), actor=bob)
    assert campaign.batches.get().run != first
    assert words(labeled)["labels"] == "queued"
    assert step_of(labeled, "labels").campaign == campaign


def test_models_of_steps_answer_once_they_are_there(make, instruct):
    pipeline = make(
        LABELED.replace("[elsewhere/kind, elsewhere/rude]", "[{from: tuned}, Instruct]")
        + "  - {name: tuned, kind: sft, model: Instruct, datasets: [Asked]}\n"
    )
    assert step_of(pipeline, "labels").campaign is None
    assert states(pipeline)["labels"].reason == "waits for step tuned"
    sweep()
    assert not Campaign.objects.exists()
    finish(step_of(pipeline, "tuned").run)
    sweep()
    campaign = step_of(pipeline, "labels").campaign
    assert sorted(campaign.answerers.values_list("choice_id", flat=True)) == [
        "grammar/Instruct", "grammar/Labeled tuned",
    ]  # fmt: skip


def test_what_would_be_refused_when_the_votes_are_there_is_refused_now(
    make, project, bob
):
    elsewhere(bob)
    make_model(project, "Instruct", stage="reward")
    before = Run.objects.count()
    with pytest.raises(SubmitError, match="step aligned: model: Instruct does not wri"):
        make(LABELED)
    assert Run.objects.count() == before
    assert not Campaign.objects.exists()
    assert not Pipeline.objects.exists()


def test_a_rehearsal_leaves_nothing_behind(labeled, project):
    assert num_exports() == 0
    assert not project.datasets.filter(name__startswith="Labeled").exists()
    assert not project.models.filter(name__startswith="Labeled").exists()


def test_a_step_nobody_can_be_asked_for_waits_for_somebody(labeled, bob, alice):
    campaign = answer_prompts(labeled)
    Pipeline.objects.update(created_by=None)
    close_campaign(campaign)
    sweep()
    assert words(labeled)["labels"] == "failed"
    assert "who made this pipeline is gone" in states(labeled)["labels"].reason
    services.retry_step(step_of(labeled, "labels"), actor=alice)
    sweep()
    assert step_of(labeled, "labels").run.created_by == alice
    assert step_of(labeled, "aligned").run.created_by == alice


def test_a_cancelled_pipeline_does_not_wait_for_votes(labeled, bob):
    campaign = answer_prompts(labeled)
    services.cancel_pipeline(labeled, actor=bob)
    campaign.refresh_from_db()
    assert campaign.state == Campaign.State.PAUSED
    close_campaign(campaign)
    sweep()
    assert num_exports() == 0


@pytest.mark.django_db(transaction=True)
def test_two_sweepers_start_what_follows_once(labeled):
    campaign = answer_prompts(labeled)
    close_campaign(campaign)
    both = threading.Barrier(2)

    def sweep_too() -> None:
        both.wait()
        try:
            advancing.advance_all()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(sweep_too) for _ in range(2)]:
            done.result()
    assert num_exports() == 1
    assert Run.objects.filter(kind="dpo").count() == 1
    assert Run.objects.filter(kind="reward").count() == 1
    assert not step_of(labeled, "aligned").refusal
