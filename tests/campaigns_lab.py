"""Campaigns with simulated labelers, made in bulk: for tests, benchmarks and looking.

What is made looks as if it had been handed out and voted on: tallies fit the votes, a
shared part of the items has several, some votes are repeats, gold or taken back.
"""

import itertools
import math
import random
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone
from trivium.accounts.models import User
from trivium.campaigns.chance import left_side, place_of
from trivium.campaigns.making import create_campaign, wanted_for
from trivium.campaigns.models import (
    Answerer,
    Assignment,
    Batch,
    Campaign,
    Item,
    Labeler,
)
from trivium.comparisons.models import Comparison, Vote
from trivium.playground.models import Generation
from trivium.projects.models import Project, Role
from trivium.projects.services import add_member

AT_ONCE = 1_000
TALLIES = {
    "a": "num_a",
    "b": "num_b",
    "tie": "num_tie",
    "both_bad": "num_both_bad",
}
QUESTIONS = (
    "Why is the sky blue in the daytime and red at dusk?",
    "Explain how a vaccine works to a child of eight.",
    "Write an apology to a neighbour whose fence I broke.",
    "Which is further north, Oslo or Stockholm?",
    "Give me three ideas for a rainy afternoon with two toddlers.",
    "Summarise the causes of the Thirty Years' War in four sentences.",
)
SENTENCES = (
    "Short waves of light are scattered more than long ones.",
    "There are three things to know before that can be answered.",
    "I am not certain, and would check a second source.",
    "In short, the first of them is the more likely.",
    "Begin with what you have at home, and keep it simple.",
    "Here is how I would put it to somebody who has never heard of it.",
)


@dataclass
class Person:
    """How one simulated labeler votes."""

    name: str
    care: float = 0.85
    """Share of votes that follow the answers; the others are by chance."""
    left_bias: float = 0.0
    """Share of votes that take the left answer whatever it says."""
    seconds: float = 25.0


@dataclass
class World:
    """What a campaign is made of."""

    num_prompts: int = 20
    strengths: Sequence[float] = (0.0, 0.6, 1.4)
    """Of the answerers: the log odds of one over another are the difference."""
    people: Sequence[Person] = (
        Person("ada"),
        Person("ben", care=0.75),
        Person("cleo", left_bias=0.15, seconds=9),
    )
    share_voted: float = 1.0
    """Of the comparisons, those that have their votes."""
    num_gold: int = 0
    tie_share: float = 0.15
    repeat_share: float = 0.05
    undone_share: float = 0.02
    num_days: float = 3.0
    has_axes: bool = False
    words: int = 40
    seed: int = 7
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the campaign."""


def build(project: Project, author: User, world: World | None = None) -> Campaign:
    """Return a campaign that people have labeled."""
    world = world or World()
    chance = random.Random(world.seed)
    campaign = create_campaign(
        project=project,
        created_by=author,
        **{
            "name": "Helpful answers",
            "guidelines": "Prefer what **helps**.",
            **world.settings,
        },
    )
    answerers = add_answerers(campaign, len(world.strengths))
    add_comparisons(campaign, author, answerers, world, chance)
    people = [(member(project, one.name), one) for one in world.people]
    vote_on_all(campaign, answerers, people, world, chance)
    return campaign


def member(project: Project, name: str) -> User:
    """Return a labeler of the project, made where there was none of that name."""
    user = User.objects.filter(username=name).first()
    if user is None:
        user = User.objects.create_user(name)
        add_member(project=project, user=user, role=Role.LABELER)
    return user


def add_answerers(campaign: Campaign, count: int) -> list[Answerer]:
    """Return so many answerers, the last one the best."""
    return Answerer.objects.bulk_create(
        [
            Answerer(
                campaign=campaign,
                choice_id=f"{campaign.project.slug}/Model {number + 1}",
                title=f"Model {number + 1}",
                sampling={"temperature": 0.7, "max_tokens": 256, "seed": number},
                sampling_sha256=f"{number:064d}",
            )
            for number in range(count)
        ]
    )


def add_comparisons(
    campaign: Campaign,
    author: User,
    answerers: Sequence[Answerer],
    world: World,
    chance: random.Random,
) -> Batch:
    """Put every two answers to every prompt beside each other."""
    batch = Batch.objects.create(campaign=campaign)
    for start in range(0, world.num_prompts, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, world.num_prompts))
        made = _answers(campaign, author, answerers, numbers, world, chance)
        pairs = [
            (number, one, other)
            for number in numbers
            for one, other in itertools.combinations(range(len(answerers)), 2)
        ]
        comparisons = Comparison.objects.bulk_create(
            [
                Comparison(
                    project=campaign.project,
                    prompt=_asked(number),
                    answer_a=made[number, one],
                    answer_b=made[number, other],
                    source=Comparison.Source.CAMPAIGN,
                    created_by=author,
                )
                for number, one, other in pairs
            ],
            batch_size=AT_ONCE,
        )
        Item.objects.bulk_create(
            [
                _item(batch, pair, answerers, comparison, world)
                for pair, comparison in zip(pairs, comparisons, strict=True)
            ],
            batch_size=AT_ONCE,
        )
    batch.facts = {"prompts": world.num_prompts, "comparisons": batch.items.count()}
    batch.save()
    return batch


def _answers(
    campaign: Campaign,
    author: User,
    answerers: Sequence[Answerer],
    numbers: Sequence[int],
    world: World,
    chance: random.Random,
) -> dict[tuple[int, int], Generation]:
    keys = [(number, at) for number in numbers for at in range(len(answerers))]
    rows = [
        Generation(
            project=campaign.project,
            created_by=author,
            choice_id=answerers[at].choice_id,
            choice_title=answerers[at].title,
            prompt={"messages": _asked(number)},
            sampling=answerers[at].sampling,
            receipt={"model_key": f"model-{at}"},
            state=Generation.State.DONE,
            text=_text(number, at, world, chance),
        )
        for number, at in keys
    ]
    made = Generation.objects.bulk_create(rows, batch_size=AT_ONCE)
    return dict(zip(keys, made, strict=True))


def _asked(number: int) -> list[dict[str, str]]:
    text = f"{QUESTIONS[number % len(QUESTIONS)]} ({number})"
    return [{"role": "user", "content": text}]


def _text(number: int, at: int, world: World, chance: random.Random) -> str:
    text = f"Answer {at + 1} to {number}."
    while len(text.split()) < world.words * chance.uniform(0.5, 1.5):
        text += " " + chance.choice(SENTENCES)
    return text


def _item(
    batch: Batch,
    pair: tuple[int, int, int],
    answerers: Sequence[Answerer],
    comparison: Comparison,
    world: World,
) -> Item:
    number, one, other = pair
    place = place_of("place", batch.campaign_id, comparison.pk)
    words = [
        len(answer.text.split())
        for answer in (comparison.answer_a, comparison.answer_b)
    ]
    is_gold = (one, other) == (0, 1) and number < world.num_gold
    return Item(
        comparison=comparison,
        campaign=batch.campaign,
        batch=batch,
        prompt_number=number,
        answerer_a=answerers[one],
        answerer_b=answerers[other],
        place=place,
        wanted=wanted_for(batch.campaign, place),
        gold="b" if is_gold else "",
        is_open=not is_gold,
        num_words=sum(words),
        more_words=words[0] - words[1],
    )


def vote_on_all(
    campaign: Campaign,
    answerers: Sequence[Answerer],
    people: Sequence[tuple[User, Person]],
    world: World,
    chance: random.Random,
) -> None:
    """Have people vote as often as is wanted; gold items get everybody's vote."""
    strength = {
        one.pk: value for one, value in zip(answerers, world.strengths, strict=True)
    }
    tallies: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    votes: list[Vote] = []
    items = list(campaign.items.order_by("place"))
    voted = items[: round(len(items) * world.share_voted)]
    begin = timezone.now() - timedelta(days=world.num_days)
    for at, item in enumerate(voted):
        when = begin + timedelta(days=world.num_days * at / len(voted))
        odds = strength[item.answerer_b_id] - strength[item.answerer_a_id]
        truth = _truth(item, odds, world, chance)
        wanted = len(people) if item.gold else min(item.wanted, len(people))
        for user, person in chance.sample(people, wanted):
            vote = _vote(item, user, person, truth, when, world, chance)
            votes.append(vote)
            tallies[item.pk][TALLIES[vote.choice]] += 1
            if chance.random() < world.undone_share:
                taken = _vote(item, user, person, truth, when, world, chance)
                taken.undone = when
                votes.append(taken)
            if not item.gold and chance.random() < world.repeat_share:
                again = _vote(item, user, person, truth, when, world, chance, repeat=1)
                again.choice = (
                    vote.choice if chance.random() < person.care else again.choice
                )
                votes.append(again)
    _store(campaign, votes, voted, tallies, [user for user, _ in people])


def _vote(
    item: Item,
    user: User,
    person: Person,
    truth: str,
    when: Any,
    world: World,
    chance: random.Random,
    *,
    repeat: int = 0,
) -> Vote:
    left = left_side(user.pk, item.pk, repeat)
    choice = _choice(person, truth, left, chance)
    axes = {}
    if world.has_axes:
        axes = {
            axis: choice if choice in "ab" and chance.random() < 0.7 else "tie"
            for axis in ("helpful", "harmless", "honest")
        }
    return Vote(
        comparison_id=item.pk,
        labeler=user,
        round=repeat,
        choice=choice,
        shown_left=left,
        strength=chance.choice((1, 1, 2, 2, 3)) if choice in {"a", "b"} else None,
        details={"axes": axes} if axes else {},
        guideline=1,
        ms_active=round(1000 * chance.lognormvariate(0, 0.5) * person.seconds),
        created=when,
        key=secrets.token_hex(16),
    )


def _truth(item: Item, odds: float, world: World, chance: random.Random) -> str:
    """Return what a careful labeler says of an item."""
    if item.gold:
        return item.gold
    if chance.random() < world.tie_share:
        return "tie" if chance.random() < 0.8 else "both_bad"
    return "b" if chance.random() < 1 / (1 + math.exp(-odds)) else "a"


def _choice(person: Person, truth: str, left: str, chance: random.Random) -> str:
    if chance.random() < person.left_bias:
        return left
    if chance.random() > person.care:
        return chance.choice(("a", "b", "tie"))
    return truth


def _store(
    campaign: Campaign,
    votes: Sequence[Vote],
    voted: Sequence[Item],
    tallies: dict[int, dict[str, int]],
    people: Sequence[User],
) -> None:
    created = [vote.created for vote in votes]
    made = Vote.objects.bulk_create(votes, batch_size=AT_ONCE)
    # `auto_now_add` overwrites what a new row brings.
    for vote, when in zip(made, created, strict=True):
        vote.created = when
    Vote.objects.bulk_update(made, ["created"], batch_size=AT_ONCE)
    Assignment.objects.bulk_create(
        [
            Assignment(
                item_id=vote.comparison_id,
                campaign=campaign,
                labeler=vote.labeler,
                round=vote.round,
                key=vote.key,
                shown_left=vote.shown_left,
                state=Assignment.State.VOTED,
                expires=vote.created,
                vote=vote,
                ended=vote.created,
            )
            for vote in made
            if vote.undone is None
        ],
        batch_size=AT_ONCE,
    )
    for item in voted:
        for name, count in tallies[item.pk].items():
            setattr(item, name, count)
        item.num_votes = sum(tallies[item.pk].values())
        item.is_open = item.num_votes < item.wanted and not item.gold
    names = [*TALLIES.values(), "num_votes", "is_open"]
    Item.objects.bulk_update(voted, names, batch_size=500)
    for user in people:
        num_tasks = campaign_tasks(campaign, user)
        Labeler.objects.update_or_create(
            campaign=campaign, user=user, defaults={"num_tasks": num_tasks}
        )


def campaign_tasks(campaign: Campaign, user: User) -> int:
    """Return how many tasks a person was handed."""
    return Assignment.objects.filter(campaign=campaign, labeler=user).count()
