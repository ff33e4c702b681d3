"""Which comparison is shown to whom, on which side, and for how long."""

from datetime import timedelta

import pytest
from django.utils import timezone
from trivium.campaigns import handing_out, making, voting
from trivium.campaigns.chance import left_side
from trivium.campaigns.models import Assignment, Campaign, Item, Labeler
from trivium.campaigns.questions import Details
from trivium.comparisons.models import Vote


def vote(task, choice="a", ms_active=1_000):
    return voting.cast_vote(
        labeler=task.labeler,
        key=task.key,
        choice=choice,
        details=Details(),
        ms_active=ms_active,
    )


def label_all(campaign, person, most=100):
    """Vote on everything that is handed out; return the tasks in order."""
    done = []
    while (tasks := handing_out.tasks_for(campaign, person)) and len(done) < most:
        vote(tasks[0])
        done.append(tasks[0])
    return done


def expire(*tasks):
    past = timezone.now() - timedelta(seconds=1)
    Assignment.objects.filter(pk__in=[task.pk for task in tasks]).update(expires=past)


def test_two_tasks_are_held_and_stay_on_a_reload(make_campaign, lara):
    campaign = make_campaign(5)
    first = handing_out.tasks_for(campaign, lara)
    assert len(first) == 2
    assert [task.key for task in handing_out.tasks_for(campaign, lara)] == [
        task.key for task in first
    ]
    assert Assignment.objects.count() == 2


def test_everything_is_shown_once_to_each(make_campaign, lara, bob):
    campaign = make_campaign(5, overlap=2)
    for person in (lara, bob):
        shown = [task.item_id for task in label_all(campaign, person)]
        assert sorted(shown) == sorted(Item.objects.values_list("pk", flat=True))
    assert not Item.objects.filter(is_open=True).exists()


def test_what_is_out_to_others_is_not_handed_out(make_campaign, lara, bob):
    campaign = make_campaign(2)
    assert len(handing_out.tasks_for(campaign, lara)) == 2
    assert handing_out.tasks_for(campaign, bob) == []


def test_a_lease_that_ran_out_frees_its_place(make_campaign, lara, bob):
    campaign = make_campaign(2)
    expire(*handing_out.tasks_for(campaign, lara))
    assert len(handing_out.tasks_for(campaign, bob)) == 2
    assert handing_out.tasks_for(campaign, lara) == []


def test_who_comes_back_gets_the_same_task_where_nobody_took_it(make_campaign, lara):
    campaign = make_campaign(2)
    before = handing_out.tasks_for(campaign, lara)
    expire(*before)
    after = handing_out.tasks_for(campaign, lara)
    assert [task.key for task in after] == [task.key for task in before]
    assert handing_out.live_leases(timezone.now()).count() == 2


def test_a_lease_is_three_median_times_but_five_minutes_at_least(make_campaign, lara):
    campaign = make_campaign(8)
    assert handing_out.lease_of(campaign) == timedelta(minutes=5)
    for ms in (60_000, 200_000, 900_000):
        vote(handing_out.tasks_for(campaign, lara)[0], ms_active=ms)
    assert handing_out.lease_of(campaign) == timedelta(seconds=600)


def test_sides_are_decided_by_labeler_and_item_alone():
    sides = {left_side(person, item, 0) for person in range(9) for item in range(9)}
    assert sides == {"a", "b"}
    assert left_side(3, 7, 0) == left_side(3, 7, 0) != left_side(3, 7, 1)
    left = sum(left_side(1, item, 0) == "a" for item in range(4_000))
    assert abs(left - 2_000) < 4 * 4_000**0.5 / 2


def test_repeats_come_back_swapped_and_take_nobodys_place(make_campaign, lara):
    campaign = make_campaign(30, repeat_share=0.5)
    done = label_all(campaign, lara)
    again = [task for task in done if task.round == 1]
    assert len(again) >= 5
    places = {task.item_id: at for at, task in enumerate(done) if task.round == 0}
    for at, task in enumerate(done):
        if task.round == 1:
            first = Assignment.objects.get(item=task.item_id, labeler=lara, round=0)
            assert task.shown_left != first.shown_left
            assert at - places[task.item_id] >= handing_out.REPEAT_AFTER
    assert set(Item.objects.values_list("num_votes", flat=True)) == {1}
    assert Vote.objects.count() == 30 + len(again)


def test_gold_items_are_for_everybody_and_never_fill_up(
    make_campaign, lara, bob, alice
):
    campaign = make_campaign(3, gold_share=1)
    gold = Item.objects.order_by("place").last()
    making.set_gold(gold, "b")
    for person in (lara, bob, alice):
        assert handing_out.tasks_for(campaign, person)[0].item_id == gold.pk
        vote(Assignment.objects.get(item=gold, labeler=person))
    gold.refresh_from_db()
    assert (gold.num_votes, gold.is_open) == (3, False)


def test_a_policy_shows_the_highest_first_but_chance_has_its_share(make_campaign, lara):
    campaign = make_campaign(60, policy=Campaign.Policy.UNCERTAINTY, random_share=0.3)
    for item in Item.objects.all():
        Item.objects.filter(pk=item.pk).update(priority=item.pk % 60)
    best = list(Item.objects.order_by("-priority").values_list("pk", flat=True))
    shown = [task.item_id for task in label_all(campaign, lara, most=20)]
    by_policy = sum(pk in best[:20] for pk in shown)
    assert 10 <= by_policy < 20


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_nothing_new_is_handed_out_unless_open(make_campaign, lara, state):
    campaign = make_campaign(5)
    Campaign.objects.update(state=state)
    campaign.refresh_from_db()
    assert handing_out.tasks_for(campaign, lara) == []


def test_harmful_content_is_for_those_who_opted_in_and_capped(make_campaign, lara):
    campaign = make_campaign(6, categories=["violence"], harm_cap=2)
    Item.objects.update(category="violence")
    assert handing_out.tasks_for(campaign, lara) == []
    Labeler.objects.filter(user=lara).update(accepts=["violence"])
    assert len(label_all(campaign, lara)) == 2
    assert handing_out.is_harm_spent(campaign, lara)
    long_ago = timezone.now() - 2 * handing_out.HARM_WINDOW
    Assignment.objects.update(created=long_ago)
    assert len(label_all(campaign, lara)) == 2


def test_withdrawn_comparisons_are_not_handed_out(make_campaign, lara):
    campaign = make_campaign(3)
    first = Item.objects.first()
    assert making.withdraw([first.pk], campaign, is_withdrawn=True) == 1
    assert first.pk not in [task.item_id for task in label_all(campaign, lara)]


def test_a_higher_overlap_opens_what_was_done(make_campaign, lara, bob):
    campaign = make_campaign(3)
    label_all(campaign, lara)
    assert handing_out.tasks_for(campaign, bob) == []
    making.change_campaign(campaign, overlap=2)
    assert len(label_all(campaign, bob)) == 3
