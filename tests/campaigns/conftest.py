"""Campaigns with comparisons nobody had to generate."""

from collections.abc import Callable

import pytest
from trivium.accounts.models import User
from trivium.campaigns import making
from trivium.campaigns.chance import place_of
from trivium.campaigns.models import Campaign, Item
from trivium.comparisons.models import Comparison
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.playground.models import Generation
from trivium.projects.models import Project

ASKED = [{"role": "user", "content": "Which river is the longest?"}]


def fill(campaign: Campaign, num_items: int) -> list[Item]:
    """Give a campaign comparisons of two models."""
    project = campaign.project
    first, second = (
        making.answerer_of(campaign, f"{project.slug}/{name}", name, {})
        for name in ("Small", "Large")
    )
    answers = Generation.objects.bulk_create(
        Generation(
            project=project,
            choice_id=who.choice_id,
            choice_title=who.title,
            prompt={"messages": ASKED},
            state=Generation.State.DONE,
            text=f"Answer {number} of {who.title}.",
        )
        for number in range(num_items)
        for who in (first, second)
    )
    compared = Comparison.objects.bulk_create(
        Comparison(
            project=project,
            prompt=ASKED,
            answer_a=answers[2 * number],
            answer_b=answers[2 * number + 1],
            source=Comparison.Source.CAMPAIGN,
        )
        for number in range(num_items)
    )
    places = [place_of("test", campaign.pk, number) for number in range(num_items)]
    return Item.objects.bulk_create(
        Item(
            comparison=one,
            campaign=campaign,
            answerer_a=first,
            answerer_b=second,
            place=place,
            wanted=making.wanted_for(campaign, place),
            num_words=8,
        )
        for one, place in zip(compared, places, strict=True)
    )


@pytest.fixture
def make_campaign(project: Project, bob: User) -> Callable[..., Campaign]:
    """Return a maker of campaigns: `make_campaign(6, overlap=2)` has six comparisons.

    Chance is off unless it is asked for: no repeats, no shared comparisons.
    """

    def make(num_items: int = 6, **settings: object) -> Campaign:
        given = {"repeat_share": 0, "gold_share": 0, "shared_share": 0, **settings}
        campaign = making.create_campaign(
            project=project, created_by=bob, name="First", **given
        )
        fill(campaign, num_items)
        return campaign

    return make


@pytest.fixture
def make_prompts(project: Project) -> Callable[[], DatasetVersion]:
    """Return a maker of a dataset of prompts that is ready; its rows are not there."""

    def make() -> DatasetVersion:
        dataset = Dataset.objects.create(project=project, name="Asked", kind="prompts")
        return DatasetVersion.objects.create(
            dataset=dataset, number=1, path="datasets/x"
        )

    return make
