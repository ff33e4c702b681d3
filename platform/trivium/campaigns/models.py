"""Campaigns and their queue: which comparison is shown to whom."""

from typing import Any

from django.db import models
from django.db.models import Q

from trivium.accounts.models import User
from trivium.comparisons.models import Comparison, Vote
from trivium.projects.models import Project
from trivium.runs.models import Run


class Campaign(models.Model):
    """A labeling task: comparisons, guidelines, and who may vote how often."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        PAUSED = "paused", "Paused"
        CLOSED = "closed", "Closed"

    class Policy(models.TextChoices):
        RANDOM = "random", "By chance"
        MARGIN = "margin", "Where a reward model is least sure"
        UNCERTAINTY = "uncertainty", "Where the ranking of models is least sure"

    project = models.ForeignKey(Project, models.CASCADE, related_name="campaigns")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    questions: Any = models.JSONField(default=dict)
    """A `questions.Questions`."""
    overlap = models.PositiveSmallIntegerField(default=1)
    """Different labelers each comparison is shown to."""
    shared_overlap = models.PositiveSmallIntegerField(default=3)
    """The same, for the share of comparisons by which agreement is measured."""
    shared_share = models.FloatField(default=0.2)
    repeat_share = models.FloatField(default=0.03)
    """Share of tasks that come back with the sides swapped."""
    gold_share = models.FloatField(default=0.05)
    """Share of tasks that are gold items, as long as there are any."""
    policy = models.CharField(max_length=12, choices=Policy, default=Policy.RANDOM)
    random_share = models.FloatField(default=0.3)
    """Share of tasks drawn by chance whatever the policy."""
    target_votes = models.PositiveIntegerField(null=True, blank=True)
    """Where the campaign pauses; none: once every comparison has its votes."""
    categories: Any = models.JSONField(default=list)
    """Categories of harmful content its prompts have."""
    harm_cap = models.PositiveSmallIntegerField(default=40)
    """Harmful comparisons one person is shown within an hour."""
    is_restricted = models.BooleanField(default=False)
    """Whether only the invited may label, not every labeler of the project."""
    is_standing = models.BooleanField(default=False)
    """Whether it is where votes of the playground land."""
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    closed = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="campaign_name_once_per_project"
            ),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(is_standing=True),
                name="one_standing_campaign_per_project",
            ),
            models.CheckConstraint(
                condition=Q(random_share__gte=0.2),
                name="a_fifth_is_always_drawn_by_chance",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Guideline(models.Model):
    """One version of what labelers are told; a vote names the one it was cast under."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="guidelines")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    """Markdown."""
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "number"], name="guideline_number_once"
            )
        ]


class Answerer(models.Model):
    """One who answers the prompts: a model with its sampling."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="answerers")
    choice_id = models.CharField(max_length=400)
    """Empty: answers that were brought in."""
    title = models.CharField(max_length=400)
    sampling: Any = models.JSONField(default=dict)
    sampling_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "choice_id", "sampling_sha256"],
                name="answerer_once_per_campaign",
            )
        ]

    def __str__(self) -> str:
        return self.title


class Batch(models.Model):
    """The answers of one `generate` run, on their way into a campaign."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="batches")
    run = models.OneToOneField(
        Run, models.SET_NULL, null=True, related_name="campaign_batch"
    )
    created = models.DateTimeField(auto_now_add=True)
    facts: Any = models.JSONField(default=dict)
    """Once it is in: prompts, comparisons, identical pairs, failed answers."""


class Item(models.Model):
    """A comparison in the queue of a campaign: narrow, for there are many.

    Counts are of standing first votes of people, kept in the transaction of each vote.
    """

    comparison = models.OneToOneField(
        Comparison, models.CASCADE, primary_key=True, related_name="item"
    )
    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="items")
    batch = models.ForeignKey(Batch, models.SET_NULL, null=True, related_name="items")
    prompt_number = models.PositiveIntegerField(default=0)
    """Of the prompt within its batch."""
    answerer_a = models.ForeignKey(
        Answerer, models.SET_NULL, null=True, related_name="+"
    )
    answerer_b = models.ForeignKey(
        Answerer, models.SET_NULL, null=True, related_name="+"
    )
    place = models.BigIntegerField()
    """Where it stands in the order that chance gave."""
    priority = models.FloatField(default=0)
    """What the campaign's policy makes of it; the highest is shown next."""
    wanted = models.PositiveSmallIntegerField(default=1)
    """Different labelers it is shown to."""
    num_votes = models.PositiveIntegerField(default=0)
    num_a = models.PositiveIntegerField(default=0)
    num_b = models.PositiveIntegerField(default=0)
    num_tie = models.PositiveIntegerField(default=0)
    num_both_bad = models.PositiveIntegerField(default=0)
    is_open = models.BooleanField(default=True)
    """Whether votes are missing; gold items and withdrawn ones are never open."""
    is_withdrawn = models.BooleanField(default=False)
    gold = models.CharField(max_length=8, blank=True, choices=Vote.Choice)
    category = models.CharField(max_length=80, blank=True)
    """Of harmful content; labelers opt in to each."""
    names_itself = models.BooleanField(default=False)
    """Whether an answer says what it is."""
    num_words = models.PositiveIntegerField(default=0)
    """Of both answers: what has to be read."""
    more_words = models.IntegerField(default=0)
    """Words of answer A beyond those of answer B."""
    margin = models.FloatField(null=True, blank=True)
    """Reward of answer A beyond that of answer B, where a reward model gave any."""
    adjudicated = models.CharField(max_length=8, blank=True, choices=Vote.Choice)
    adjudicated_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+"
    )
    adjudicated_at = models.DateTimeField(null=True, blank=True)
    adjudication_note = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["campaign", "place"],
                condition=Q(is_open=True),
                name="campaign_next_by_chance",
            ),
            models.Index(
                fields=["campaign", "-priority", "place"],
                condition=Q(is_open=True),
                name="campaign_next_by_policy",
            ),
            models.Index(
                fields=["campaign"], condition=~Q(gold=""), name="campaign_gold"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["batch", "prompt_number", "answerer_a", "answerer_b"],
                name="one_comparison_of_two_on_a_prompt",
            ),
        ]

    @property
    def has_room(self) -> bool:
        """Whether one more vote would count, were nobody else at it."""
        return not self.is_withdrawn and (
            bool(self.gold) or self.num_votes < self.wanted
        )


class Assignment(models.Model):
    """A comparison shown to one labeler; while it is out, the place is theirs.

    It is a lease: after `expires` somebody else may get it, unless it was renewed.
    """

    class State(models.TextChoices):
        OUT = "out", "Shown"
        VOTED = "voted", "Voted"
        SKIPPED = "skipped", "Skipped"

    item = models.ForeignKey(Item, models.CASCADE, related_name="assignments")
    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="+")
    labeler = models.ForeignKey(User, models.CASCADE, related_name="+")
    round = models.PositiveSmallIntegerField(default=0)
    """1: a planned repeat, with the sides swapped."""
    key = models.CharField(max_length=32, unique=True)
    """Comes back with the vote, which is counted once however often it is sent."""
    shown_left = models.CharField(max_length=1, choices=Vote.Side)
    state = models.CharField(max_length=8, choices=State, default=State.OUT)
    expires = models.DateTimeField()
    draft: Any = models.JSONField(default=dict)
    """What was filled in and not sent yet."""
    skip_reason = models.CharField(max_length=200, blank=True)
    vote = models.OneToOneField(
        Vote, models.SET_NULL, null=True, related_name="assignment"
    )
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "labeler", "round"], name="shown_once_a_round"
            )
        ]
        indexes = [
            models.Index(
                fields=["campaign", "labeler", "state"], name="labelers_tasks"
            ),
            models.Index(
                fields=["item", "expires"],
                condition=Q(state="out", round=0),
                name="live_leases",
            ),
        ]


class Labeler(models.Model):
    """A person in one campaign: where they are in its queue, and what they can bear."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="labelers")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    is_invited = models.BooleanField(default=False)
    accepts: Any = models.JSONField(default=list)
    """Categories of harmful content they opted in to."""
    num_tasks = models.PositiveIntegerField(default=0)
    """Handed out so far; decides which task is a repeat or a gold item."""
    cursor = models.BigIntegerField(default=-(2**63))
    """Place of the last item drawn by chance: the search goes on behind it."""
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "user"], name="one_labeler_per_person"
            )
        ]


class Flag(models.Model):
    """Something a labeler wants looked at: it stays until somebody did."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="flags")
    labeler = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=400)
    created = models.DateTimeField(auto_now_add=True)
    resolved = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")


class Judge(models.Model):
    """A model that votes too, under its own name and never among people's numbers."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="judges")
    run = models.OneToOneField(
        Run, models.SET_NULL, null=True, related_name="campaign_judge"
    )
    choice_id = models.CharField(max_length=400)
    title = models.CharField(max_length=400)
    rubric = models.TextField(blank=True)
    facts: Any = models.JSONField(default=dict)
    """Once it is done: verdicts, how often both orders agreed."""
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.title


class Report(models.Model):
    """The statistics of a campaign as they were last computed."""

    campaign = models.OneToOneField(Campaign, models.CASCADE, related_name="report")
    values: Any = models.JSONField(default=dict)
    num_votes = models.PositiveIntegerField(default=0)
    """Votes it is of, taken back ones included: when there are more, it is old."""
    asked = models.DateTimeField(null=True, blank=True)
    """When somebody last wanted a newer one."""
    seconds = models.FloatField(default=0)
    computed = models.DateTimeField(null=True, blank=True)
