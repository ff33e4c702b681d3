"""The standing campaign of a project: where votes of the playground land.

Each project has one from its first blind vote on. Its comparisons have the vote of
whoever asked; an engineer who raises the overlap has others look at them too.
"""

from django.db import transaction
from django.utils import timezone

from trivium.accounts.models import User
from trivium.campaigns.chance import place_of
from trivium.campaigns.handing_out import new_key
from trivium.campaigns.making import answerer_of, wanted_for
from trivium.campaigns.models import Assignment, Campaign, Item
from trivium.campaigns.taking_in import measured, names_itself
from trivium.campaigns.voting import tally
from trivium.comparisons.models import Comparison, Vote
from trivium.projects.models import Project

NAME = "Votes from the playground"


def standing_campaign(project: Project) -> Campaign:
    """Return the campaign of a project's playground, made where there is none."""
    found = Campaign.objects.filter(project=project, is_standing=True).first()
    if found is not None:
        return found
    name, number = NAME, 1
    while Campaign.objects.filter(project=project, name=name).exists():
        number += 1
        name = f"{NAME} {number}"
    campaign, _ = Campaign.objects.get_or_create(
        project=project,
        is_standing=True,
        defaults={"name": name, "shared_share": 0, "gold_share": 0, "repeat_share": 0},
    )
    return campaign


@transaction.atomic
def count_vote(vote: Vote) -> None:
    """Count a vote of the playground in; counted again it changes nothing."""
    assert vote.labeler is not None
    item = _item_of(vote.comparison, vote.labeler)
    if item is None or vote.undone is not None:
        return
    seen, is_new = Assignment.objects.get_or_create(
        item=item,
        labeler=vote.labeler,
        round=0,
        defaults={
            "campaign_id": item.campaign_id,
            "key": new_key(),
            "shown_left": vote.shown_left,
            "expires": timezone.now(),
        },
    )
    if not is_new and seen.vote_id == vote.pk:
        return
    seen.state, seen.vote, seen.ended = Assignment.State.VOTED, vote, timezone.now()
    seen.save(update_fields=["state", "vote", "ended"])
    tally(item, vote.choice, 1)


@transaction.atomic
def uncount_vote(vote: Vote) -> None:
    """Count a vote out that was taken back in the playground."""
    seen = Assignment.objects.filter(vote=vote).first()
    if seen is None:
        return
    item = Item.objects.select_for_update(of=("self",)).get(pk=seen.item_id)
    seen.vote, seen.state = None, Assignment.State.OUT
    seen.expires = seen.ended = timezone.now()
    seen.save(update_fields=["vote", "state", "expires", "ended"])
    tally(item, vote.choice, -1)


def _item_of(comparison: Comparison, asker: User) -> Item | None:
    """Return a comparison's row in the queue, locked; None where it belongs elsewhere.

    Raises nothing: a vote is never refused because of how it is counted.
    """
    campaign = standing_campaign(comparison.project)
    answers = comparison.answer_a, comparison.answer_b
    first, second = (
        answerer_of(
            campaign,
            answer.choice_id,
            answer.choice_title,
            {**answer.sampling, "seed": None},
        )
        for answer in answers
    )
    place = place_of("place", campaign.pk, "playground", comparison.pk, asker.pk)
    titles = [answer.choice_title for answer in answers]
    item, _ = Item.objects.select_for_update(of=("self",)).get_or_create(
        comparison=comparison,
        defaults={
            "campaign": campaign,
            "answerer_a": first,
            "answerer_b": second,
            "place": place,
            "wanted": wanted_for(campaign, place),
            "names_itself": any(names_itself(one.text, titles) for one in answers),
            **measured(comparison),
        },
    )
    return item if item.campaign_id == campaign.pk else None
