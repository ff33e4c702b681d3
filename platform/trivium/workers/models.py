"""Workers announce themselves and their devices here."""

from django.db import models


class Worker(models.Model):
    """One worker process group on one host."""

    name = models.CharField(max_length=200, unique=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField(default=0)
    queues = models.JSONField(default=list)
    """Which of `cpu` and `gpu` it serves."""
    cores = models.PositiveSmallIntegerField(default=1)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    version = models.CharField(max_length=40, blank=True)
    is_draining = models.BooleanField(default=False)
    started = models.DateTimeField(auto_now_add=True)
    heartbeat = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """Something a run is executed on: a GPU, or a slot of CPU cores."""

    class Kind(models.TextChoices):
        CPU = "cpu", "CPU"
        GPU = "gpu", "GPU"

    worker = models.ForeignKey(Worker, models.CASCADE, related_name="devices")
    kind = models.CharField(max_length=4, choices=Kind)
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=200)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    peak_flops = models.JSONField(default=dict, blank=True)
    """Measured matrix-product FLOP/s by precision: {"fp32": …, "bf16": …}."""
    run = models.ForeignKey(
        "runs.Run", models.SET_NULL, null=True, blank=True, related_name="devices"
    )
    """The run that holds it, if any."""
    fence = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["kind", "index"]
        constraints = [
            models.UniqueConstraint(
                fields=["worker", "kind", "index"], name="one_row_per_device"
            )
        ]
