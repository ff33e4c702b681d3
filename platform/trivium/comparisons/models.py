"""Two answers to one prompt, votes on them, and lineups of the playground."""

from typing import Any

from django.db import models
from django.db.models import F, Q

from trivium.accounts.models import User
from trivium.playground.models import Generation
from trivium.projects.models import Project


class Comparison(models.Model):
    """Two different answers to one prompt; how each was made its generation tells."""

    class Source(models.TextChoices):
        PLAYGROUND = "playground", "Playground"
        CAMPAIGN = "campaign", "Campaign"

    project = models.ForeignKey(Project, models.CASCADE, related_name="comparisons")
    prompt: Any = models.JSONField()
    """A list of messages, or a text that both answers go on with."""
    answer_a = models.ForeignKey(Generation, models.PROTECT, related_name="+")
    answer_b = models.ForeignKey(Generation, models.PROTECT, related_name="+")
    source = models.CharField(max_length=10, choices=Source)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(answer_a=F("answer_b")), name="two_answers_are_compared"
            )
        ]

    def __str__(self) -> str:
        return f"comparison {self.pk}"


class Vote(models.Model):
    """What one person said of one comparison; taken back, never deleted."""

    class Choice(models.TextChoices):
        A = "a", "A is better"
        B = "b", "B is better"
        TIE = "tie", "Equally good"
        BOTH_BAD = "both_bad", "Both are bad"

    class Side(models.TextChoices):
        A = "a", "A"
        B = "b", "B"

    comparison = models.ForeignKey(Comparison, models.PROTECT, related_name="votes")
    labeler = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+"
    )
    judge = models.ForeignKey(
        "campaigns.Judge", models.PROTECT, null=True, blank=True, related_name="votes"
    )
    """The model that voted, where no person did."""
    round = models.PositiveSmallIntegerField(default=0)
    """1: a planned repeat with the sides swapped; it measures consistency only."""
    choice = models.CharField(max_length=8, choices=Choice)
    shown_left = models.CharField(max_length=1, choices=Side)
    """Which answer stood on the left; what is left tends to be liked."""
    strength = models.PositiveSmallIntegerField(null=True, blank=True)
    """How much better, 1 to 3."""
    details: Any = models.JSONField(default=dict)
    """What else was said (`campaigns.questions.Details`)."""
    guideline = models.PositiveIntegerField(default=0)
    """Version of the guidelines that stood beside it; 0: there were none."""
    ms_active = models.PositiveIntegerField()
    """How long the page was looked at, in milliseconds."""
    created = models.DateTimeField(auto_now_add=True)
    undone = models.DateTimeField(null=True, blank=True)
    key = models.CharField(max_length=64, unique=True)
    """Made by the page: a vote sent twice is counted once."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "labeler", "round"],
                condition=Q(undone=None, judge=None),
                name="one_standing_vote_per_labeler_and_round",
            ),
            models.CheckConstraint(
                condition=Q(labeler=None) ^ Q(judge=None),
                name="a_person_or_a_judge_votes",
            ),
        ]

    @property
    def voter(self) -> str:
        """Name who voted."""
        return str(self.labeler if self.labeler is not None else self.judge)


class Lineup(models.Model):
    """One prompt given to two to four models of the playground, side by side."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="lineups")
    created_by = models.ForeignKey(User, models.CASCADE, related_name="+")
    is_blind = models.BooleanField(default=False)
    revealed = models.DateTimeField(null=True, blank=True)
    """When the names of a blind one were shown."""
    comparison = models.OneToOneField(
        Comparison, models.SET_NULL, null=True, related_name="lineup"
    )
    """What became of a blind one that was voted on."""
    created = models.DateTimeField(auto_now_add=True)

    @property
    def hides_names(self) -> bool:
        """Whether nobody shall know yet which model answered where."""
        return self.is_blind and self.revealed is None


class LineupPlace(models.Model):
    """One answer of a lineup, and where it stands, from the left."""

    lineup = models.ForeignKey(Lineup, models.CASCADE, related_name="places")
    position = models.PositiveSmallIntegerField()
    generation = models.OneToOneField(Generation, models.PROTECT, related_name="place")

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["lineup", "position"], name="one_answer_in_each_place"
            )
        ]
