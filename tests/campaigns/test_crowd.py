"""Fifty labelers at once who retry, vanish and come back: no vote too many, none lost.

In the services tier the same happens on PostgreSQL.
"""

import random
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F
from django.utils import timezone
from trivium.accounts.models import User
from trivium.campaigns import handing_out, voting
from trivium.campaigns.errors import LabelingError
from trivium.campaigns.models import Assignment, Item
from trivium.campaigns.questions import Details
from trivium.comparisons.models import Vote
from trivium.projects.models import Role
from trivium.projects.services import add_member

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

PEOPLE, ITEMS, OVERLAP = 50, 40, 3
LEASE = timedelta(seconds=0.4)


class Client(threading.Thread):
    """One person with a bad connection."""

    def __init__(self, campaign, person, barrier, seed):
        super().__init__()
        self.campaign, self.person, self.barrier = campaign, person, barrier
        self.chance = random.Random(seed)
        self.standing = {}
        """Votes answered for and not taken back: key → choice."""
        self.error = None

    def run(self):
        try:
            self.barrier.wait()
            self.label()
        except Exception as error:  # noqa: BLE001 - told by the test
            self.error = error
        finally:
            connections.close_all()

    def label(self):
        for _ in range(40):
            tasks = handing_out.tasks_for(self.campaign, self.person)
            if not tasks:
                return
            if self.chance.random() < 0.15:  # goes away, and comes back too late
                threading.Event().wait(1.5 * LEASE.total_seconds())
            self.vote(tasks[0])
            if self.chance.random() < 0.1:
                self.take_back()

    def vote(self, task):
        if self.chance.random() < 0.1:
            voting.skip(labeler=self.person, key=task.key, reason="unsure")
            return
        choice = self.chance.choice(Vote.Choice.values)
        times = 3 if self.chance.random() < 0.3 else 1  # the answer was lost on the way
        for _ in range(times):
            try:
                voting.cast_vote(
                    labeler=self.person, key=task.key, choice=choice,
                    details=Details(), ms_active=10,
                )  # fmt: skip
            except LabelingError:
                assert task.key not in self.standing
                return
            self.standing[task.key] = choice

    def take_back(self):
        last = Assignment.objects.filter(
            labeler=self.person, state=Assignment.State.VOTED
        )
        before = {one.pk: one.key for one in last}
        try:
            task = voting.undo(campaign=self.campaign, labeler=self.person)
        except LabelingError:
            return
        self.standing.pop(before.get(task.pk), None)


def crowd(project):
    people = User.objects.bulk_create(User(username=f"p{n}") for n in range(PEOPLE))
    for person in people:
        add_member(project=project, user=person, role=Role.LABELER)
    return people


def label_at_once(campaign, people):
    barrier = threading.Barrier(len(people))
    clients = [
        Client(campaign, person, barrier, seed) for seed, person in enumerate(people)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [client.error for client in clients if client.error] == []
    return clients


def test_no_vote_too_many_and_none_lost(make_campaign, project, monkeypatch):
    monkeypatch.setattr(handing_out, "LEAST_LEASE", LEASE)
    campaign = make_campaign(ITEMS, overlap=OVERLAP)
    clients = label_at_once(campaign, crowd(project))

    promised = {key: one for client in clients for key, one in client.standing.items()}
    kept = {vote.key: vote.choice for vote in Vote.objects.filter(undone=None)}
    assert kept == promised
    assert Vote.objects.exclude(undone=None).exists()

    votes = Counter(
        Vote.objects.filter(undone=None).values_list("comparison", "labeler")
    )
    assert set(votes.values()) == {1}
    voters = Counter(pk for pk, _ in votes)
    for item in Item.objects.all():
        standing = Counter(
            item.comparison.votes.filter(undone=None).values_list("choice", flat=True)
        )
        assert item.num_votes == voters[item.pk] <= OVERLAP
        assert [item.num_a, item.num_b, item.num_tie, item.num_both_bad] == [
            standing[choice] for choice in ("a", "b", "tie", "both_bad")
        ]
        assert item.is_open == (item.num_votes < OVERLAP)
    assert sum(voters.values()) >= 0.9 * ITEMS * OVERLAP


def test_places_and_leases_never_exceed_what_is_wanted(make_campaign, project):
    campaign = make_campaign(4, overlap=1)
    people = crowd(project)
    barrier = threading.Barrier(PEOPLE)
    got: list[int] = []

    def ask(person):
        try:
            barrier.wait()
            got.extend(
                task.item_id
                for task in handing_out.tasks_for(campaign, person, count=1)
            )
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(Item.objects.values_list("pk", flat=True))
    assert not Item.objects.filter(num_votes__gt=F("wanted")).exists()
    assert Assignment.objects.filter(expires__gt=timezone.now()).count() == 4
