"""Figures of a campaign against ones worked out by hand, and when they are renewed."""

from datetime import timedelta

import pytest
from campaigns_lab import Person, World, add_answerers, add_comparisons, build
from comparisons_lab import answered
from django.utils import timezone
from trivium.accounts.models import User
from trivium.campaigns import refreshing, reports
from trivium.campaigns.forecast import forecast, plan_pair, plan_width
from trivium.campaigns.making import create_campaign, set_gold, withdraw
from trivium.campaigns.models import Answerer, Campaign, Item, Judge, Report
from trivium.campaigns.queries import Progress
from trivium.campaigns.questions import Questions
from trivium.comparisons.models import Comparison, Vote
from trivium.projects.models import Project


@pytest.fixture
def campaign(project: Project, bob: User) -> Campaign:
    """A campaign of two models without comparisons."""
    campaign = create_campaign(
        project=project,
        created_by=bob,
        name="By hand",
        questions=Questions(axes="optional"),
    )
    add_answerers(campaign, 2)
    return campaign


def add_item(campaign: Campaign, **values: object) -> Item:
    """Return a comparison of both models."""
    author = campaign.created_by
    assert author is not None
    first, second = campaign.answerers.order_by("pk")
    texts = ("one", "another")
    made = [answered(campaign.project, author, text) for text in texts]
    comparison = Comparison.objects.create(
        project=campaign.project,
        prompt="Why?",
        answer_a=made[0],
        answer_b=made[1],
        source="campaign",
    )
    given = {"answerer_a": first, "answerer_b": second, "place": comparison.pk}
    return Item.objects.create(
        comparison=comparison, campaign=campaign, **given | values
    )


def cast(item: Item, who: User, choice: str, **values: object) -> Vote:
    """Store a vote as voting does, tallies included."""
    vote = Vote.objects.create(
        comparison_id=item.pk,
        choice=choice,
        key=f"{item.pk}-{who}-{Vote.objects.count()}",
        **{"labeler": who, "shown_left": "a", "ms_active": 30_000} | values,
    )
    if vote.round == 0 and vote.undone is None and vote.judge is None:
        name = f"num_{choice}"
        setattr(item, name, getattr(item, name) + 1)
        item.num_votes += 1
        item.save()
    return vote


@pytest.fixture
def voted(campaign: Campaign, bob: User, lara: User) -> Campaign:
    """Four items, two people: they agree on three, once each on A, B and B."""
    says = (("a", "a"), ("b", "b"), ("b", "b"), ("a", "b"))
    for one, other in says:
        item = add_item(campaign)
        cast(item, lara, one)
        cast(item, bob, other)
    return campaign


def test_alpha_and_percent_are_those_worked_out_by_hand(voted: Campaign) -> None:
    found = reports.compute(voted)["agreement"]

    # 8 votes, 3 A and 5 B; one of four items disagrees. Observed disagreement 2/8,
    # expected 2·3·5 / (8·7), so alpha = 1 - 0.25 / (30/56).
    assert found["percent"]["value"] == pytest.approx(0.75)
    assert found["alpha"]["value"] == pytest.approx(1 - 0.25 / (30 / 56))
    assert (found["num_units"], found["num_labelers"]) == (4, 2)


def test_what_is_no_peoples_first_vote_counts_for_no_agreement(
    voted: Campaign, bob: User, lara: User
) -> None:
    before = reports.compute(voted)
    gold, gone = add_item(voted, gold="a"), add_item(voted)
    for item in (gold, gone):
        cast(item, lara, "a")
        cast(item, bob, "b")
    withdraw([gone.pk], voted, is_withdrawn=True)
    first = voted.items.order_by("pk").first()
    assert first is not None
    cast(first, lara, "b", round=1, shown_left="b")
    cast(add_item(voted), lara, "b", undone=timezone.now())
    judge = Judge.objects.create(campaign=voted, choice_id="x", title="Judge")
    cast(first, lara, "b", labeler=None, judge=judge)

    after = reports.compute(voted)

    for name in ("agreement", "ranking", "pairs"):
        assert after[name] == before[name], name


def test_a_labeler_is_judged_by_gold_and_by_repeats(
    voted: Campaign, bob: User, lara: User
) -> None:
    for choice in ("a", "a", "b"):
        cast(add_item(voted, gold="a"), lara, choice)
    plain = list(voted.items.filter(gold="").order_by("pk"))
    cast(plain[0], lara, "a", round=1, shown_left="b")
    cast(plain[1], lara, "tie", round=1, shown_left="b")

    rows = {row["labeler"]: row for row in reports.compute(voted)["labelers"]}

    mine = rows[lara.pk]
    assert (mine["gold"]["hits"], mine["gold"]["total"]) == (2, 3)
    # Wilson's interval of 2 of 3.
    assert mine["gold"]["interval"]["low"] == pytest.approx(0.2077, abs=1e-3)
    assert (mine["consistency"]["hits"], mine["consistency"]["total"]) == (1, 2)
    assert rows[bob.pk]["gold"]["value"] is None
    assert mine["num_votes"] == 9


def test_left_wins_are_counted_by_what_stood_there(
    campaign: Campaign, lara: User
) -> None:
    for choice, left in (("a", "a"), ("b", "b"), ("a", "b"), ("tie", "a")):
        cast(add_item(campaign), lara, choice, shown_left=left)

    left = reports.compute(campaign)["left"]["share"]

    assert (left["hits"], left["total"]) == (2, 3)


def test_pairs_count_wins_of_the_first_model_whichever_side_it_was(
    campaign: Campaign, lara: User
) -> None:
    first, second = campaign.answerers.order_by("pk")
    cast(add_item(campaign), lara, "a")
    swapped = {"answerer_a": second, "answerer_b": first}
    cast(add_item(campaign, **swapped), lara, "b")
    cast(add_item(campaign, **swapped), lara, "tie")
    cast(add_item(campaign, **swapped), lara, "both_bad")

    found = reports.compute(campaign)["pairs"]

    assert found == [[first.pk, second.pk, [2, 0, 1, 1]]]


def test_models_nobody_compared_get_a_reason_and_no_rank(campaign: Campaign) -> None:
    found = reports.compute(campaign)

    assert found["ranking"]["models"] == []
    assert found["ranking"]["refusal"]


def test_each_axis_has_an_agreement_of_its_own(
    campaign: Campaign, bob: User, lara: User
) -> None:
    for said in ("a", "b"):
        item = add_item(campaign)
        cast(item, lara, "a", details={"axes": {"helpful": said}})
        cast(item, bob, "a", details={"axes": {"helpful": said}})

    found = reports.compute(campaign)["axes"]

    assert found["helpful"]["alpha"]["value"] == pytest.approx(1.0)
    assert set(found) == {"helpful"}


def test_a_judge_is_compared_with_the_majority_of_people(
    voted: Campaign, lara: User
) -> None:
    judge = Judge.objects.create(campaign=voted, choice_id="x", title="Judge")
    for item, choice in zip(voted.items.order_by("pk"), "abab", strict=True):
        cast(item, lara, choice, labeler=None, judge=judge)

    found = reports.compute(voted)["judges"][str(judge.pk)]

    # The fourth item has no majority; of the others the third one differs.
    assert (found["agreement"]["hits"], found["agreement"]["total"]) == (2, 3)


def test_answerers_of_one_model_are_told_apart_by_their_sampling(
    campaign: Campaign,
) -> None:
    campaign.answerers.update(title="Tiny")

    names = reports.names_of(list(campaign.answerers.order_by("pk")))

    assert names == ["Tiny · T 0.7, seed 0", "Tiny · T 0.7, seed 1"]


# Freshness ---------------------------------------------------------------------------


def test_a_small_campaign_is_computed_when_its_page_is_asked_for(
    voted: Campaign, lara: User
) -> None:
    first = refreshing.report_for(voted)
    again = refreshing.report_for(voted)
    cast(add_item(voted), lara, "a")
    later = refreshing.report_for(voted)

    assert first.values["standing"] == 8
    assert again.computed == first.computed
    assert later.values["standing"] == 9
    assert not later.is_coming


def test_a_new_gold_item_makes_a_report_old(voted: Campaign) -> None:
    before = refreshing.report_for(voted)
    item = voted.items.first()
    assert item is not None
    set_gold(item, "a")
    reports.outdate_report(voted)

    after = refreshing.report_for(voted)

    assert before.values["counted"] == 8
    assert after.values["counted"] == 6


def test_of_a_large_campaign_the_old_report_is_shown_and_a_newer_one_asked_for(
    voted: Campaign, lara: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = reports.refresh_report(voted)
    monkeypatch.setattr(refreshing, "SMALL", 1)
    cast(add_item(voted), lara, "a")

    shown = refreshing.report_for(voted)

    assert shown.is_coming
    assert shown.num_newer == 1
    assert shown.computed == old.computed
    Report.objects.update(computed=timezone.now() - timedelta(hours=1))
    assert refreshing.refresh_asked() == 1
    renewed = refreshing.report_for(voted)
    assert not renewed.is_coming
    assert renewed.values["standing"] == 9


def test_a_report_just_computed_rests_before_the_next_one(
    voted: Campaign, lara: User
) -> None:
    reports.refresh_report(voted)
    cast(add_item(voted), lara, "a")
    refreshing.ask_for_report(voted)

    assert refreshing.refresh_asked() == 0
    assert Report.objects.get().asked is not None


def test_a_campaign_pauses_when_it_has_its_votes(voted: Campaign) -> None:
    Campaign.objects.update(target_votes=9)
    refreshing.tend_campaigns()
    assert Campaign.objects.get().state == "open"

    Campaign.objects.update(target_votes=8)
    refreshing.tend_campaigns()

    assert Campaign.objects.get().state == "paused"


def test_items_a_reward_model_is_unsure_of_come_first(campaign: Campaign) -> None:
    sure, unsure = add_item(campaign, margin=4.0), add_item(campaign, margin=0.1)
    unknown = add_item(campaign)
    Campaign.objects.update(policy="margin")

    refreshing.tend_campaigns()

    order = campaign.items.order_by("-priority", "place")
    assert [item.pk for item in order] == [unsure.pk, sure.pk, unknown.pk]
    assert refreshing.update_priorities(Campaign.objects.get()) == 0


def test_pairs_the_ranking_is_unsure_of_come_first(project: Project, bob: User) -> None:
    campaign = build(
        project,
        bob,
        World(
            num_prompts=60,
            strengths=(0.0, 0.0, 3.0),
            people=(Person("ada"),),
            settings={"policy": "uncertainty"},
        ),
    )
    last = Answerer.objects.order_by("-pk").first()
    assert last is not None
    # A model with few votes is what the ranking knows least of.
    answerers = [*campaign.answerers.order_by("pk"), *add_new_model(campaign)]
    world = World(num_prompts=2, strengths=(0, 0), people=())
    import random

    add_comparisons(campaign, bob, answerers[-2:], world, random.Random(1))
    reports.refresh_report(campaign)

    refreshing.update_priorities(campaign)

    new = campaign.items.filter(answerer_b=answerers[-1], is_open=True)
    assert {item.priority for item in new} == {1.0}


def add_new_model(campaign: Campaign) -> list[Answerer]:
    """Return another answerer, that nobody voted on."""
    return [
        Answerer.objects.create(campaign=campaign, choice_id="grammar/new", title="New")
    ]


# What is made of it ------------------------------------------------------------------


def test_the_forecast_goes_by_the_pace_of_late() -> None:
    progress = Progress(comparisons=100, votes=40, wanted=100, given=40, done=40)
    report = {
        "median_active_s": 30.0,
        "pace": {"span": "hour", "span_s": 3600.0, "votes": 20},
    }

    found = forecast(progress, None, report)

    assert found.votes_left == 60
    assert found.done_in_s == pytest.approx(3 * 3600)
    assert found.work_s == pytest.approx(1800)
    assert forecast(progress, 50, report).votes_left == 10
    assert forecast(progress, None, {}).done_in_s is None


def test_a_plan_asks_for_more_votes_where_models_are_closer() -> None:
    near = {"pairs": [[1, 2, [55, 45, 10, 0]]], "median_active_s": 60.0}
    far = {"pairs": [[1, 2, [60, 40, 10, 0]]], "median_active_s": 60.0}

    close, apart = plan_pair(near, 2, 1), plan_pair(far, 2, 1)

    assert close.more_votes is not None
    assert apart.more_votes is not None
    assert close.more_votes > apart.more_votes > 0
    assert apart.minutes == pytest.approx(apart.more_votes)


def test_the_stored_agreement_is_what_the_planner_reads(
    project: Project, bob: User
) -> None:
    campaign = build(project, bob, World(num_prompts=40))
    report = reports.refresh_report(campaign).values

    plan = plan_width(report, 0.05)

    assert plan.more_votes is not None
    assert plan.more_votes > 0
