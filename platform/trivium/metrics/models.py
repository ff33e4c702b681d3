"""Curves, as chunks of points: a million points are read in tens of milliseconds.

These tables may lie in a database of their own, so nothing here has a foreign key;
`run_id` and `fence` are checked against the stream's own copy of the fence.
"""

from django.db import models


class MetricStream(models.Model):
    """Where the one writer of a run's curves stands."""

    run_id = models.PositiveBigIntegerField(primary_key=True)
    fence = models.PositiveIntegerField()
    offset = models.PositiveBigIntegerField(default=0)
    """Bytes of this fence's events file whose points are stored."""


class MetricChunk(models.Model):
    """Up to `CHUNK_POINTS` points of one curve, written by one attempt, in order."""

    run_id = models.PositiveBigIntegerField()
    name = models.CharField(max_length=200)
    fence = models.PositiveIntegerField()
    index = models.PositiveIntegerField()
    count = models.PositiveIntegerField()
    first_step = models.PositiveBigIntegerField()
    last_step = models.PositiveBigIntegerField()
    steps = models.BinaryField()
    """int64, little-endian."""
    values = models.BinaryField()
    """float64, little-endian; NaN and infinities as such."""
    superseded_after = models.BigIntegerField(null=True, blank=True)
    """Points beyond this step were taken again by a later attempt; -1: all of them."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run_id", "name", "fence", "index"], name="chunk_once"
            )
        ]
