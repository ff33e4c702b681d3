"""Handing out comparisons: leases, and which one comes next.

A place of a comparison is taken in the transaction that sees it free: the item's row is
locked, and only then are standing votes and live leases counted against `wanted`. No
transaction locks two items, so none can wait for another in a circle. A lease that ran
out frees its place by itself; nothing has to sweep.
"""

import secrets
import statistics
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.aggregates import Count
from django.db.models.functions import Coalesce
from django.utils import timezone

from trivium.accounts.models import User
from trivium.campaigns.chance import draw, left_side
from trivium.campaigns.models import Assignment, Campaign, Item, Labeler

AT_ONCE = 2
"""Tasks a labeler holds: the one on the screen, and the next one behind it."""
LEAST_LEASE = timedelta(minutes=5)
MOST_LEASE = timedelta(hours=2)
LEASE_TIMES = 3
"""Median times a task may take before others get it."""
FRESH = 0.8
"""Share of its time a lease must have left not to be renewed."""
MEDIAN_OF = 50
"""Newest votes the median time is taken of."""
REPEAT_AFTER = 10
"""Tasks between a comparison and its repeat, at least."""
HARM_WINDOW = timedelta(hours=1)
MOST_TRIES = 20
"""Items found full between search and lock before a search gives up."""
ANSWERS = ("comparison__answer_a", "comparison__answer_b")
NEEDED_OF_TASK = (
    "item", "campaign", "labeler", "round", "key", "shown_left", "state", "expires",
    "draft",
)  # fmt: skip
NEEDED_OF_ITEM = (
    "campaign", "place", "category", "gold", "is_withdrawn", "num_votes", "wanted",
    "comparison__prompt", "comparison__answer_a__text", "comparison__answer_b__text",
)  # fmt: skip
"""What handing out and showing take of both; receipts of answers are long."""


def tasks_for(
    campaign: Campaign, user: User, *, count: int = AT_ONCE
) -> list[Assignment]:
    """Return what a labeler has to do next, in order: at most `count` tasks.

    What is out already stays and is renewed, so a reload, a second tab or a return
    shows the same tasks. Their comparisons and answers come with them.
    """
    lease = lease_of(campaign)
    labeler = labeler_in(campaign, user)
    out = with_texts(_held(campaign, user))
    held = [task for task in out if _hold(task, lease)][:count]
    while campaign.state == Campaign.State.OPEN and len(held) < count:
        task = _next_task(campaign, labeler, lease)
        if task is None:
            break
        held.append(task)
    for task in held:
        task.campaign = campaign
    return held


def labeler_in(campaign: Campaign, user: User) -> Labeler:
    """Return a person's place in a campaign, made where they had none."""
    labeler, _ = Labeler.objects.get_or_create(campaign=campaign, user=user)
    labeler.user = user
    return labeler


def with_texts(tasks: QuerySet[Assignment]) -> QuerySet[Assignment]:
    """Fetch tasks with all that is shown of them, and no more."""
    answers, needed = (
        [f"item__{name}" for name in names] for names in (ANSWERS, NEEDED_OF_ITEM)
    )
    return tasks.select_related(*answers).only(*NEEDED_OF_TASK, *needed)


def _with_texts(items: QuerySet[Item]) -> QuerySet[Item]:
    return items.select_related(*ANSWERS).only(*NEEDED_OF_ITEM)


def lease_of(campaign: Campaign) -> timedelta:
    """Return how long a task may be out: three median times, at least five minutes."""
    newest = Assignment.objects.filter(
        campaign=campaign, state=Assignment.State.VOTED, vote__undone=None
    ).order_by("-pk")
    times = newest.values_list("vote__ms_active", flat=True)[:MEDIAN_OF]
    median = timedelta(milliseconds=statistics.median(times or [0]))
    return min(MOST_LEASE, max(LEAST_LEASE, LEASE_TIMES * median))


def live_leases(now: datetime) -> QuerySet[Assignment]:
    """Return the first-round tasks that are out and hold a place."""
    return Assignment.objects.filter(
        state=Assignment.State.OUT, round=0, expires__gt=now
    )


def has_place(item: Item, user: User, now: datetime) -> bool:
    """Whether one more person may vote on an item (its row must be locked).

    Gold items have a place for everybody.
    """
    if not item.has_room:
        return False
    if item.gold:
        return True
    others = live_leases(now).filter(item=item).exclude(labeler=user).count()
    return item.num_votes + others < item.wanted


def _hold(task: Assignment, lease: timedelta) -> bool:
    """Renew a task, or take its place again where nobody else did meanwhile.

    One whose lease has most of its time left is held without a write, and one that
    others gave all its votes is left without a lock.
    """
    now = timezone.now()
    if task.expires > now + lease * FRESH:
        return True
    if task.expires <= now and task.round == 0 and not task.item.has_room:
        return False
    with transaction.atomic():
        locked = Assignment.objects.select_for_update(of=("self",)).get(pk=task.pk)
        now = timezone.now()  # waiting for the lock took its time
        if locked.state != Assignment.State.OUT:
            return False
        if locked.expires <= now and locked.round == 0:
            item = Item.objects.select_for_update(of=("self",)).get(pk=locked.item_id)
            if not has_place(item, locked.labeler, now):
                return False
        Assignment.objects.filter(pk=task.pk).update(expires=now + lease)
    return True


def renew(campaign: Campaign, user: User) -> int:
    """Renew the tasks that are out; return how many are still held."""
    lease = lease_of(campaign)
    out = _held(campaign, user).select_related("item")
    return sum(_hold(task, lease) for task in out)


def _held(campaign: Campaign, user: User) -> QuerySet[Assignment]:
    return Assignment.objects.filter(
        campaign=campaign, labeler=user, state=Assignment.State.OUT
    ).order_by("pk")


def _next_task(
    campaign: Campaign, labeler: Labeler, lease: timedelta
) -> Assignment | None:
    """Hand out one more task: a repeat, a gold item, or a new comparison."""
    number = labeler.num_tasks

    def is_drawn(what: str, share: float) -> bool:
        return draw(what, campaign.pk, labeler.user_id, number) < share

    ways: list[Callable[[], Assignment | None]] = []
    if is_drawn("repeat", campaign.repeat_share):
        ways.append(lambda: _repeat(campaign, labeler, lease))
    if is_drawn("gold", campaign.gold_share):
        ways.append(lambda: _gold(campaign, labeler, lease))
    is_by_chance = campaign.policy == Campaign.Policy.RANDOM or is_drawn(
        "chance", campaign.random_share
    )
    ways.append(lambda: _open_item(campaign, labeler, lease, by_chance=is_by_chance))
    ways.append(lambda: _gold(campaign, labeler, lease))
    return next((task for way in ways if (task := way()) is not None), None)


def _repeat(
    campaign: Campaign, labeler: Labeler, lease: timedelta
) -> Assignment | None:
    """Hand out again what the labeler voted on a while ago, with the sides swapped."""
    theirs = Assignment.objects.filter(campaign=campaign, labeler=labeler.user)
    again = theirs.filter(item=OuterRef("item"), round=1)
    voted = theirs.filter(
        round=0, state=Assignment.State.VOTED, item__gold="", item__is_withdrawn=False
    )
    newest_first = voted.order_by("-ended").values_list("pk", flat=True)
    recent = list(newest_first[:REPEAT_AFTER])
    old = voted.exclude(pk__in=recent).filter(~Exists(again)).order_by("ended")
    first = with_texts(old).first()
    if len(recent) < REPEAT_AFTER or first is None:
        return None
    return _assign(first.item, labeler, lease, round_number=1)


def _gold(campaign: Campaign, labeler: Labeler, lease: timedelta) -> Assignment | None:
    """Hand out a gold item the labeler has not seen."""
    gold = Item.objects.filter(campaign=campaign, is_withdrawn=False).exclude(gold="")
    free = _with_texts(_bearable(gold, campaign, labeler))
    item = free.order_by("place").first()
    return _assign(item, labeler, lease) if item is not None else None


def _open_item(
    campaign: Campaign, labeler: Labeler, lease: timedelta, *, by_chance: bool
) -> Assignment | None:
    """Hand out the next comparison that lacks votes and has a free place."""
    now = timezone.now()
    items = Item.objects.filter(campaign=campaign, is_open=True)
    free = _bearable(_with_place(items, now), campaign, labeler)
    if not by_chance:
        return _lease_first(free.order_by("-priority", "place"), labeler, lease)
    behind = free.filter(place__gt=labeler.cursor).order_by("place")
    return _lease_first(behind, labeler, lease, moves=True) or _lease_first(
        free.order_by("place"), labeler, lease, moves=True
    )


def _with_place(items: QuerySet[Item], now: datetime) -> QuerySet[Item]:
    """Leave out what has as many votes and live leases as are wanted."""
    leases = live_leases(now).filter(item=OuterRef("pk")).order_by()
    counted = leases.values("item").annotate(number=Count("pk")).values("number")
    num_out = Coalesce(Subquery(counted, output_field=IntegerField()), 0)
    return items.filter(wanted__gt=F("num_votes") + num_out)


def _bearable(
    items: QuerySet[Item], campaign: Campaign, labeler: Labeler
) -> QuerySet[Item]:
    """Leave out what the labeler saw before, and what they shall not have to see."""
    seen = Assignment.objects.filter(item=OuterRef("pk"), labeler=labeler.user)
    items = items.filter(~Exists(seen))
    if not campaign.categories:
        return items
    if is_harm_spent(campaign, labeler.user):
        return items.filter(category="")
    return items.filter(category__in=["", *labeler.accepts])


def is_harm_spent(campaign: Campaign, user: User) -> bool:
    """Whether a person was shown as much harmful content as an hour may hold."""
    if not campaign.categories:
        return False
    lately = Assignment.objects.filter(
        campaign=campaign, labeler=user, created__gt=timezone.now() - HARM_WINDOW
    )
    return lately.exclude(item__category="").count() >= campaign.harm_cap


def _lease_first(
    items: QuerySet[Item], labeler: Labeler, lease: timedelta, *, moves: bool = False
) -> Assignment | None:
    """Take a place of the first of these items that still has one.

    `moves` has the labeler's next search begin behind it.
    """
    full: list[int] = []
    for _ in range(MOST_TRIES):
        with transaction.atomic():
            found = _with_texts(items.exclude(pk__in=full))
            # Items others just lock are passed over, unless there is nothing else.
            item = (
                found.select_for_update(skip_locked=True, of=("self",)).first()
                or found.select_for_update(of=("self",)).first()
            )
            if item is None:
                return None
            # The search saw the leases of its beginning; the lock may have come later.
            if has_place(item, labeler.user, timezone.now()):
                if moves:
                    labeler.cursor = item.place
                return _assign(item, labeler, lease)
            full.append(item.pk)
    return None


@transaction.atomic(savepoint=False)
def _assign(
    item: Item, labeler: Labeler, lease: timedelta, *, round_number: int = 0
) -> Assignment:
    """Write down that a task is out; a second tab that did so before is joined."""
    once = {"item": item, "labeler": labeler.user, "round": round_number}
    try:
        with transaction.atomic():
            task = Assignment.objects.create(
                **once,
                campaign_id=item.campaign_id,
                key=new_key(),
                shown_left=left_side(labeler.user_id, item.pk, round_number),
                expires=timezone.now() + lease,
            )
    except IntegrityError:
        task = with_texts(Assignment.objects.filter(**once)).get()
    labeler.num_tasks += 1
    Labeler.objects.filter(pk=labeler.pk).update(
        num_tasks=F("num_tasks") + 1, cursor=labeler.cursor
    )
    return task


def new_key() -> str:
    """Return a key no vote came with before."""
    return secrets.token_hex(16)
