"""Conversations with models, and how each answer was made."""

from typing import Any, ClassVar

from django.db import models

from trivium.accounts.models import User
from trivium.projects.models import Project


class Preset(models.Model):
    """Settings for one application, kept under a name; built-in ones are in code."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="presets")
    created_by = models.ForeignKey(User, models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    application = models.CharField(max_length=20)
    """One of `presets.APPLICATIONS`."""
    system = models.TextField(blank=True)
    example = models.TextField(blank=True)
    """A first message to try it with."""
    sampling: Any = models.JSONField(default=dict)
    is_shared = models.BooleanField(default=False)
    """Whether the project's other members may use it."""
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "created_by", "name"], name="preset_name_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Conversation(models.Model):
    """Messages of one person and models, as a tree: edits and versions are siblings."""

    class Overflow(models.TextChoices):
        REFUSE = "refuse", "Refuse, and say so"
        DROP_OLDEST = "drop_oldest", "Leave out the oldest messages, and say which"

    project = models.ForeignKey(Project, models.CASCADE, related_name="conversations")
    created_by = models.ForeignKey(User, models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=200, blank=True)
    choice_id = models.CharField(max_length=400, blank=True)
    """What is talked to (`serving.choices`)."""
    system = models.TextField(blank=True)
    sampling: Any = models.JSONField(default=dict)
    overflow = models.CharField(
        max_length=12, choices=Overflow, default=Overflow.REFUSE
    )
    head = models.ForeignKey(
        "Message", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    """The last message of the branch that is shown."""
    is_shared = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True, db_index=True)
    deleted = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.title or "New conversation"


class Message(models.Model):
    """One turn; its siblings are the other versions of it."""

    class Role(models.TextChoices):
        USER = "user", "You"
        ASSISTANT = "assistant", "Model"

    conversation = models.ForeignKey(
        Conversation, models.CASCADE, related_name="messages"
    )
    parent = models.ForeignKey(
        "self", models.CASCADE, null=True, blank=True, related_name="children"
    )
    role = models.CharField(max_length=10, choices=Role)
    content = models.TextField(blank=True)
    """Of an answer: what its generation wrote, once it is over."""
    created = models.DateTimeField(auto_now_add=True)
    deleted = models.DateTimeField(null=True, blank=True)


class Generation(models.Model):
    """One answer of a model, with all that a replay needs."""

    class State(models.TextChoices):
        NEW = "new", "Waiting"
        RUNNING = "running", "Writing"
        SUSPENDED = "suspended", "Waiting for a reader"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    OVER: ClassVar = (State.DONE, State.STOPPED, State.FAILED)

    project = models.ForeignKey(Project, models.CASCADE, related_name="generations")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    message = models.OneToOneField(
        Message, models.CASCADE, null=True, blank=True, related_name="generation"
    )
    choice_id = models.CharField(max_length=400)
    choice_title = models.CharField(max_length=400)
    prompt: Any = models.JSONField(default=dict)
    """A `runspec.serving.Prompt`."""
    sampling: Any = models.JSONField(default=dict)
    """A `runspec.serving.Sampling`, with a seed."""
    given_ids: Any = models.JSONField(default=list)
    """Tokens the answer begins with: of one that is gone on with, or of a branch."""
    given_text = models.TextField(blank=True)
    dropped: Any = models.JSONField(default=list)
    """Messages left out of the prompt for want of room, as {role, content}."""
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    receipt: Any = models.JSONField(null=True, blank=True)
    """A `runspec.serving.Receipt`, once the model has begun."""
    text = models.TextField(blank=True)
    """The whole answer, once it is over; `given_text` included."""
    token_ids: Any = models.JSONField(default=list)
    """Of the whole answer, once it is over; `given_ids` included."""
    finish_reason = models.CharField(max_length=20, blank=True)
    error = models.TextField(blank=True)
    timings: Any = models.JSONField(null=True, blank=True)
    freed_ms = models.FloatField(null=True, blank=True)
    """How long after a stop the slot was free."""
    replay_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="replays"
    )
    writer = models.CharField(max_length=40, blank=True)
    """Which task of which web process may write."""
    beat = models.DateTimeField(null=True, blank=True)
    """When that task last wrote."""
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"generation {self.pk}"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be written."""
        return self.state in self.OVER


class GenerationEvent(models.Model):
    """One entry of an answer's log, which is only ever added to (`playground.log`)."""

    generation = models.ForeignKey(Generation, models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    """From 1, without gaps."""
    payload: Any = models.JSONField()

    class Meta:
        ordering = ["seq"]
        constraints = [
            models.UniqueConstraint(
                fields=["generation", "seq"], name="one_entry_at_each_place"
            )
        ]
