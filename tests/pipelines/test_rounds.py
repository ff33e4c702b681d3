"""Rounds of the preference loop."""

import pytest
from django.test import Client
from pipelines_lab import (
    answer_prompts,
    elsewhere,
    finish,
    make_model,
    states,
    step_of,
    vote,
    words,
)
from trivium.campaigns.making import close_campaign
from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.pipelines import rounds
from trivium.pipelines.models import Pipeline
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.runs.sweeping import sweep

pytestmark = pytest.mark.django_db

ROUND = """
name: Manners
steps:
  - name: labels
    kind: campaign
    prompts: Prompts
    answerers: [Instruct, Instruct]
    samplings: [{temperature: 0.7}, {temperature: 1.0}]
    target_votes: 2
    guidelines: Prefer what **helps**.
  - name: reward
    kind: reward
    model: Instruct
    datasets: [Preferred, {from: labels}]
    weights: [1, 2]
  - name: aligned
    kind: dpo
    model: Instruct
    datasets: [{from: labels}]
    output: Manners aligned
    needs: [reward]
  - name: check
    kind: evaluate
    models: [Instruct, {from: aligned}]
    datasets: [Prompts]
    baseline: Instruct
    judge: {from: reward}
"""
WIN = {
    "measures": [
        {"model": 0, "name": "win_rate", "estimate": {"value": 0.5}},
        {
            "model": 1, "name": "win_rate",
            "estimate": {"value": 0.66, "low": 0.6, "high": 0.72},
        },
    ]
}  # fmt: skip


@pytest.fixture
def first(make, project, bob) -> Pipeline:
    make_model(project, "Instruct")
    return make(ROUND)


def label(pipeline) -> None:
    campaign = answer_prompts(pipeline)
    vote(campaign, 2)
    item = campaign.items.filter(num_votes=1).first()
    campaign.items.filter(pk=item.pk).update(num_a=1)
    sweep()
    finish(step_of(pipeline, "labels").run)
    sweep()


def carry_out(pipeline, **evaluated) -> LanguageModel:
    """Label, align and evaluate; return the new policy."""
    label(pipeline)
    told = {"accuracy": {"value": 0.75}, "by_length": {"value": 0.5}}
    finish(step_of(pipeline, "reward").run, preference=told)
    sweep()
    aligned = step_of(pipeline, "aligned").run
    finish(aligned, preference=told)
    LanguageModel.objects.filter(run=aligned).update(recognised={})
    sweep()
    finish(step_of(pipeline, "check").run, **evaluated)
    return LanguageModel.objects.get(run=aligned)


def test_the_next_round_compares_the_new_model_with_the_one_before(first, bob):
    policy = carry_out(first)
    second = rounds.start_next_round(first, actor=bob)
    assert (second.name, second.round, second.previous) == (
        "Manners, round 2",
        2,
        first,
    )
    labels = step_of(second, "labels")
    assert labels.settings["answerers"] == [
        "grammar/Manners aligned", "grammar/Instruct",
    ]  # fmt: skip
    assert labels.settings["samplings"] == [{"temperature": 0.7}] * 2
    assert labels.campaign.guidelines.get().text == "Prefer what **helps**."
    assert labels.campaign.target_votes == 2
    export = DatasetVersion.objects.get(run=step_of(first, "labels").run)
    aligned, reward = step_of(second, "aligned"), step_of(second, "reward")
    assert aligned.settings["datasets"] == [str(export.pk), {"from": "labels"}]
    preferred = DatasetVersion.objects.get(dataset__name="Preferred")
    assert reward.settings["datasets"] == [
        str(preferred.pk), str(export.pk), {"from": "labels"},
    ]  # fmt: skip
    assert "weights" not in reward.settings, "they were of other datasets"
    assert aligned.needs == ["reward"]
    check = step_of(second, "check").settings
    assert check["baseline"] == "grammar/Manners aligned"
    assert check["models"] == [
        "grammar/Instruct", "grammar/Manners aligned", {"from": "aligned"},
    ]  # fmt: skip

    newer = carry_out(second)
    assert newer.parents.get() == policy.parents.get(), "it starts from the same model"
    third = rounds.start_next_round(second, actor=bob)
    assert third.name == "Manners, round 3"
    assert step_of(third, "labels").settings["answerers"] == [
        f"grammar/{newer.name}", "grammar/Manners aligned",
    ]  # fmt: skip
    assert len(step_of(third, "aligned").settings["datasets"]) == 3
    assert step_of(third, "check").settings["models"] == [
        "grammar/Instruct", f"grammar/{newer.name}", {"from": "aligned"},
    ]  # fmt: skip
    label(third)
    spec = step_of(third, "aligned").run.spec
    assert len(spec["datasets"]) == 3


def test_the_history_tells_what_each_round_brought(first, bob):
    carry_out(first, **WIN)
    second = rounds.start_next_round(first, actor=bob)
    campaign = answer_prompts(second, 8)
    newest = campaign.answerers.order_by("pk").first()
    for item in campaign.items.order_by("pk")[:4]:
        side = "num_a" if item.answerer_a == newest else "num_b"
        campaign.items.filter(pk=item.pk).update(**{side: 1}, num_votes=1)
    for item in campaign.items.order_by("-pk")[:1]:
        side = "num_b" if item.answerer_a == newest else "num_a"
        campaign.items.filter(pk=item.pk).update(**{side: 1}, num_votes=1)
    one, two = rounds.history_of(first)
    assert rounds.history_of(second) == [one, two]
    assert (one.pipeline, two.pipeline) == (first, second)
    assert (one.votes, two.votes) == (2, 5)
    assert [(name, figure.value) for name, figure in one.aligned] == [
        ("reward", 0.75), ("aligned", 0.75),
    ]  # fmt: skip
    assert one.measured.value == 0.66
    assert "60" in one.measured.beside
    assert (one.chosen.hits, one.chosen.total) == (4, 5)
    assert one.chosen.interval.low < 0.8 < one.chosen.interval.high
    assert two.chosen is None


def test_a_round_begins_once_and_not_before_there_is_a_new_model(first, bob, project):
    with pytest.raises(SubmitError, match="there is no new aligned model yet"):
        rounds.start_next_round(first, actor=bob)
    carry_out(first)
    other = LanguageModel.objects.get(name="Instruct")
    with pytest.raises(SubmitError, match="there is no new aligned model yet"):
        rounds.start_next_round(first, actor=bob, policy=other)
    rounds.start_next_round(first, actor=bob)
    with pytest.raises(SubmitError, match="there is a next round already"):
        rounds.start_next_round(first, actor=bob)
    assert Pipeline.objects.count() == 2


def test_a_pipeline_without_people_has_no_rounds(make, bob):
    pipeline = make()
    assert rounds.loop_of(pipeline) is None
    with pytest.raises(SubmitError, match="no step of this pipeline collects choices"):
        rounds.start_next_round(pipeline, actor=bob)


def test_one_click_begins_the_next_round(first, bob, vera):
    client = Client()
    client.force_login(bob)
    url = f"/p/grammar/pipelines/{first.pk}/"
    assert "next-round" not in client.get(url).content.decode()
    early = client.post(f"{url}round/", follow=True).content.decode()
    assert "There is no new aligned model yet" in early
    carry_out(first, **WIN)
    page = client.get(url).content.decode()
    assert 'id="next-round"' in page
    assert "measured 66\xa0%" in page
    viewer = Client()
    viewer.force_login(vera)
    assert 'id="next-round"' not in viewer.get(url).content.decode()
    assert viewer.post(f"{url}round/").status_code == 403
    made = client.post(f"{url}round/")
    second = first.following.get()
    assert made.url == f"/p/grammar/pipelines/{second.pk}/"
    assert words(second)["labels"] == "queued"
    assert states(second)["aligned"].reason == "waits for steps labels, reward"
    page = client.get(url).content.decode()
    assert "Round 2 →" in page
    assert Run.objects.filter(kind="generate").count() == 2


def test_a_round_nobody_voted_in_is_closed_and_holds(first):
    campaign = answer_prompts(first)
    close_campaign(campaign)
    sweep()
    assert step_of(first, "labels").run is not None
    assert rounds.won_by_people(campaign) is None


def test_models_of_endpoints_have_no_predecessor(make, project, bob):
    elsewhere(bob)
    make_model(project, "Instruct")
    pipeline = make(ROUND.replace("[Instruct, Instruct]", "[elsewhere/kind, Instruct]"))
    carry_out(pipeline)
    second = rounds.start_next_round(pipeline, actor=bob)
    assert step_of(second, "labels").settings["answerers"][1] == "grammar/Instruct"
