"""Runs: the rows that are the truth about all queued work."""

from typing import ClassVar

from django.db import models

from trivium.accounts.models import User
from trivium.projects.models import Project
from trivium.workers.models import Worker


class Sweep(models.Model):
    """Runs that differ from one run in a few settings, tried beside each other."""

    class Method(models.TextChoices):
        GRID = "grid", "Grid"
        RANDOM = "random", "Random"

    project = models.ForeignKey(Project, models.CASCADE, related_name="sweeps")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    source = models.ForeignKey(
        "Run", models.SET_NULL, null=True, related_name="sweeps_from"
    )
    """The run whose settings all members share but for the swept ones."""
    name = models.CharField(max_length=200)
    method = models.CharField(max_length=8, choices=Method)
    axes = models.JSONField()
    """Each setting with its values or its range, as `sweep_plan.Axis` holds it."""
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def settings(self) -> list[str]:
        """The names of the swept settings."""
        return [axis["setting"] for axis in self.axes]


class Run(models.Model):
    """One unit of queued work. Only `runs.services` writes here.

    `fence` numbers the attempts. Whoever holds the newest fence is the one effective
    writer; every write of a supervisor says `WHERE id = ? AND fence = ?`.
    """

    class Kind(models.TextChoices):
        INGEST = "ingest", "Ingest"
        TOKENIZER = "tokenizer", "Tokenizer"
        PRETRAIN = "pretrain", "Pretraining"
        SFT = "sft", "Fine-tuning"
        DPO = "dpo", "Alignment (DPO)"
        REWARD = "reward", "Reward model"
        RLHF = "rlhf", "Alignment (RLHF)"
        EVALUATE = "evaluate", "Evaluation"
        PREFLIGHT = "preflight", "Preflight"
        IMPORT = "import", "Import"
        GENERATE = "generate", "Answers"
        JUDGE = "judge", "Judging"
        EXPORT = "export", "Export"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PAUSING = "pausing", "Pausing"
        PAUSED = "paused", "Paused"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Desired(models.TextChoices):
        """What a person wants of it; a supervisor acts on it at its next heartbeat."""

        NONE = "", "Go on"
        PAUSE = "pause", "Pause"
        CANCEL = "cancel", "Cancel"

    TERMINAL: ClassVar = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    LIVE: ClassVar = (State.RUNNING, State.PAUSING)
    """States in which an attempt holds devices and a lease."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="runs")
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="runs"
    )
    kind = models.CharField(max_length=12, choices=Kind)
    name = models.CharField(max_length=200)
    spec = models.JSONField()
    spec_sha256 = models.CharField(max_length=64)

    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    desired_state = models.CharField(
        max_length=8, choices=Desired, default=Desired.NONE, blank=True
    )
    priority = models.SmallIntegerField(default=0)
    queue = models.CharField(max_length=12, default="cpu")
    """`cpu` or `gpu`: whose devices it takes, and whose bell is rung."""
    num_devices = models.PositiveSmallIntegerField(default=1)
    not_before = models.DateTimeField(null=True, blank=True)
    depends_on = models.ManyToManyField(
        "self", symmetrical=False, related_name="dependants", blank=True
    )

    continues = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="continued_by"
    )
    """The cancelled or failed run whose last checkpoint this one goes on from."""

    sweep = models.ForeignKey(
        Sweep, models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    sweep_values = models.JSONField(default=dict, blank=True)
    """The swept settings of a member of a sweep, with its values."""

    fence = models.PositiveIntegerField(default=0)
    worker = models.ForeignKey(
        Worker, models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    crashes = models.PositiveSmallIntegerField(default=0)
    """Crashes that spent the retry budget; lost hosts and preemption do not."""
    crash_step = models.PositiveBigIntegerField(null=True, blank=True)
    """How far the last crashed attempt got; a retry must get further."""

    step = models.PositiveBigIntegerField(default=0)
    total_steps = models.PositiveBigIntegerField(default=0)
    unit = models.CharField(max_length=20, default="steps")
    phase = models.CharField(max_length=100, blank=True)
    tokens = models.PositiveBigIntegerField(default=0)
    tokens_per_s = models.FloatField(null=True, blank=True)
    eta_s = models.FloatField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    error_class = models.CharField(max_length=20, blank=True)
    reason = models.TextField(blank=True)
    """One sentence: why it failed, was paused or waits."""
    advice = models.TextField(blank=True)
    is_held_by_budget = models.BooleanField(default=False)
    """Whether it was paused because its project's budget is nearly spent."""
    version = models.PositiveBigIntegerField(default=0)
    """Counts changes a page may want to show; the cursor of the event stream."""

    created = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True, blank=True)
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["project", "-id"], name="run_list"),
            models.Index(fields=["project", "state", "-id"], name="run_list_state"),
            models.Index(fields=["state", "-priority", "id"], name="run_claim"),
        ]
        constraints = [
            models.CheckConstraint(
                name="run_state_is_known",
                condition=models.Q(
                    state__in=[
                        "waiting", "queued", "running", "pausing",
                        "paused", "succeeded", "failed", "cancelled",
                    ]
                ),
            ),
            models.CheckConstraint(
                name="live_run_has_lease",
                condition=~models.Q(state__in=["running", "pausing"])
                | models.Q(lease_until__isnull=False),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name

    @property
    def is_finished(self) -> bool:
        """Whether the state is terminal."""
        return self.state in self.TERMINAL

    @property
    def is_live(self) -> bool:
        """Whether an attempt is at work."""
        return self.state in self.LIVE

    @property
    def fraction(self) -> float:
        """Progress, 0 to 1."""
        if self.state == self.State.SUCCEEDED:
            return 1.0
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


class Attempt(models.Model):
    """One execution of a run by one worker."""

    class Outcome(models.TextChoices):
        NONE = "", "At work"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CRASHED = "crashed", "Crashed"
        STOPPED = "stopped", "Stopped and saved"
        LOST = "lost", "Lost with its host"

    run = models.ForeignKey(Run, models.CASCADE, related_name="attempts")
    fence = models.PositiveIntegerField()
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True, related_name="+")
    devices = models.JSONField(default=list)
    """Names of the devices it was given, like `cpu:0`, `cuda:1`."""
    resumed_from = models.PositiveBigIntegerField(null=True, blank=True)
    started = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(
        max_length=10, choices=Outcome, default=Outcome.NONE, blank=True
    )
    reason = models.TextField(blank=True)
    events_offset = models.PositiveBigIntegerField(default=0)
    """Bytes of the events file already stored, moved with what they held."""

    device = models.CharField(max_length=200, blank=True)
    """What it ran on: a GPU by its name, or `CPU core`."""
    num_units = models.PositiveSmallIntegerField(default=0)
    """How many of them at once."""
    device_s = models.FloatField(default=0)
    """Seconds it held them, times how many; written while it runs."""
    energy_j = models.FloatField(null=True, blank=True)
    """What they used, where the hardware counts it."""
    energy_source = models.CharField(max_length=10, blank=True)
    """What counted: `NVML` or `RAPL`."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "fence"], name="one_attempt_per_fence"
            )
        ]


class Transition(models.Model):
    """The history of a run's state; rows are only ever added."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="transitions")
    fence = models.PositiveIntegerField()
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12)
    actor = models.CharField(max_length=150)
    """A username, or `worker NAME`, or `sweeper`."""
    reason = models.TextField(blank=True)
    at = models.DateTimeField(auto_now_add=True)


class Outbox(models.Model):
    """A bell still to be rung; written in the transaction that makes work."""

    queue = models.CharField(max_length=12)
    run = models.ForeignKey(Run, models.CASCADE, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    rung = models.DateTimeField(null=True, blank=True, db_index=True)


class Checkpoint(models.Model):
    """A verified, complete state a run can go on from."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="checkpoints")
    step = models.PositiveBigIntegerField()
    fence = models.PositiveIntegerField()
    path = models.CharField(max_length=500)
    """Relative to the run's folder."""
    manifest_sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField(default=0)
    metric = models.FloatField(null=True, blank=True)
    is_pinned = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step"], name="one_checkpoint_per_step"
            )
        ]


class Sample(models.Model):
    """A text the model wrote while it trained."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="samples")
    fence = models.PositiveIntegerField()
    step = models.PositiveBigIntegerField()
    prompt = models.TextField()
    text = models.TextField()
    created = models.DateTimeField(auto_now_add=True)


class RunWarning(models.Model):
    """Something a person should know about a run that goes on."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="warnings")
    fence = models.PositiveIntegerField()
    step = models.PositiveBigIntegerField(default=0)
    message = models.TextField()
    created = models.DateTimeField(auto_now_add=True)
