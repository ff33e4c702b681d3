"""Which checkpoints stay: the newest, the best, every k-th, the pinned, the needed."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from runspec import Spec, parse_spec

from trivium.runs.models import Checkpoint, Run
from trivium.runs.queries import choices_in_use

WRITTEN = 1
"""A new checkpoint is whole before an old one goes, so one more is there meanwhile."""


class Policy(NamedTuple):
    """What a spec says of keeping checkpoints."""

    newest: int = 1
    """How many of the newest stay."""
    every_steps: int = 0
    """Checkpoints at multiples of this step stay; 0: none for that reason."""
    saved_every: int = 0
    """The fewest steps between two that are saved by plan; 0: not known."""


class Outlook(NamedTuple):
    """The disk a run's checkpoints take."""

    used_bytes: int
    most_bytes: int | None
    """What they will take at most by the end; None before the first is saved, and
    where nothing more will be saved."""
    most_kept: int


def policy_of(spec: Spec) -> Policy | None:
    """Return how a run keeps its checkpoints; None for kinds that have none."""
    newest = getattr(spec, "keep_checkpoints", None)
    if newest is None:
        return None
    interval = int(getattr(spec, "checkpoint_every", 0))
    # Such a run saves whenever an evaluation is the best so far, too.
    saves_best = hasattr(spec, "best_metric")
    evaluations = int(getattr(spec, "eval_every", interval))
    return Policy(
        newest=max(1, int(newest)),
        every_steps=interval * int(getattr(spec, "keep_every", 0)),
        saved_every=min(interval, evaluations) if saves_best else interval,
    )


def steps_needed(run_id: int) -> set[int]:
    """Return the steps other runs go on from: they must find them when they start."""
    is_needed = (
        Run.objects.filter(continues=run_id, checkpoints=None)
        .exclude(state__in=Run.TERMINAL)
        .exists()
    )
    newest = Checkpoint.objects.filter(run_id=run_id).order_by("-step").first()
    steps = {newest.step} if is_needed and newest is not None else set()
    return steps | _steps_asked(run_id)


def _steps_asked(run_id: int) -> set[int]:
    """Return the steps whose checkpoints unfinished runs will ask something."""
    run = Run.objects.select_related("project").filter(pk=run_id).first()
    if run is None:
        return set()
    name = f"{run.project.slug}/run-{run_id}@"
    asked = choices_in_use(run.project)
    return {int(one.removeprefix(name)) for one in asked if one.startswith(name)}


def choose_kept(
    rows: Sequence[Checkpoint], policy: Policy, *, needed: Collection[int] = ()
) -> set[int]:
    """Return the ids of the checkpoints that stay; at least one always does."""
    newest_first = sorted(rows, key=lambda row: -row.step)
    kept = {row.pk for row in newest_first[: max(1, policy.newest)]}
    kept |= {row.pk for row in rows if row.is_pinned or row.step in needed}
    if policy.every_steps:
        kept |= {row.pk for row in rows if row.step % policy.every_steps == 0}
    measured = [row for row in newest_first if row.metric is not None]
    if measured:
        kept.add(min(measured, key=lambda row: row.metric or 0.0).pk)
    return kept


def outlook(run: Run) -> Outlook:
    """Return the disk that checkpoints take now, and at most by the run's end."""
    rows = list(run.checkpoints.all())
    used = sum(row.size_bytes for row in rows)
    largest = max((row.size_bytes for row in rows), default=0)
    try:
        policy = policy_of(parse_spec(run.spec))
    except ValueError:  # of a version that knew other settings
        policy = None
    if policy is None or run.is_finished or not largest:
        return Outlook(used, None, len(rows))
    most = most_kept(
        policy,
        last_step=run.total_steps if run.unit == "steps" else 0,
        num_pinned=sum(row.is_pinned for row in rows),
    )
    most = max(most, len(rows))
    return Outlook(used, most * largest, most)


def most_kept(policy: Policy, *, last_step: int, num_pinned: int) -> int:
    """Return how many checkpoints lie on disk at once, at the worst moment."""
    best = 1
    kept = policy.newest + best + num_pinned + WRITTEN
    if not policy.saved_every or not last_step:
        return kept
    if policy.every_steps:
        kept += last_step // policy.every_steps
    # A pause may add one between two regular ones; those are retired like others.
    num_saved = -(-last_step // policy.saved_every)
    return min(kept, max(num_saved, 1))
