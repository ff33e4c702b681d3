"""Votes of the playground land in a campaign of their own."""

import pytest
from comparisons_lab import answered
from trivium.campaigns.handing_out import tasks_for
from trivium.campaigns.making import change_campaign
from trivium.campaigns.models import Campaign, Item
from trivium.campaigns.standing import standing_campaign
from trivium.comparisons import lineups
from trivium.comparisons.models import Lineup, LineupPlace, Vote


@pytest.fixture
def lineup(project, lara) -> Lineup:
    return blind(project, lara, "The Nile.", "The Amazon, I think.")


def blind(project, user, *texts) -> Lineup:
    made = Lineup.objects.create(project=project, created_by=user, is_blind=True)
    for at, text in enumerate(texts):
        answer = answered(
            project, user, text,
            choice_id=f"{project.slug}/{at}", choice_title=f"Model {at}",
        )  # fmt: skip
        LineupPlace.objects.create(lineup=made, position=at, generation=answer)
    return made


def cast(lineup, person, preferred="left", key="k") -> Vote:
    return lineups.vote_on_lineup(
        lineup=lineup, labeler=person, preferred=preferred, ms_active=5, key=key
    )


def test_a_blind_vote_is_an_item_of_the_standing_campaign(lineup, lara, project):
    vote = cast(lineup, lara)
    campaign = standing_campaign(project)
    item = Item.objects.get()
    assert (item.campaign, item.comparison) == (campaign, vote.comparison)
    assert (item.num_votes, item.is_open, item.more_words) == (1, False, -2)
    assert {item.answerer_a.title, item.answerer_b.title} == {"Model 0", "Model 1"}
    assert getattr(item, f"num_{vote.choice}") == 1


def test_sent_again_it_is_counted_once(lineup, lara):
    cast(lineup, lara)
    cast(lineup, lara)
    assert Item.objects.get().num_votes == 1


def test_taken_back_it_is_counted_out_and_can_be_cast_anew(lineup, lara):
    vote = cast(lineup, lara)
    assert lineups.take_vote_back(vote)
    assert not lineups.take_vote_back(vote)
    item = Item.objects.get()
    assert (item.num_votes, item.num_a + item.num_b, item.is_open) == (0, 0, True)
    cast(lineup, lara, "tie", key="k2")
    item.refresh_from_db()
    assert (item.num_votes, item.num_tie) == (1, 1)


def test_the_same_models_are_the_same_answerers(project, lara):
    for number in range(3):
        cast(blind(project, lara, f"One {number}.", "Two."), lara, key=f"k{number}")
    campaign = Campaign.objects.get()
    assert (campaign.items.count(), campaign.answerers.count()) == (3, 2)


def test_with_more_overlap_others_see_them_too(lineup, lara, bob, project):
    cast(lineup, lara)
    campaign = standing_campaign(project)
    assert tasks_for(campaign, bob) == []
    change_campaign(campaign, overlap=2)
    assert [task.item for task in tasks_for(campaign, bob)] == [Item.objects.get()]
    assert tasks_for(campaign, lara) == []
