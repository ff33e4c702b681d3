"""Sweeps: queue their runs together, say what they cost, cancel them together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from runspec import PretrainSpec, Spec, parse_spec
from runspec.sizing import estimate

from trivium.accounts.models import User
from trivium.naming import MAX_NAME, clean_name
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to
from trivium.runs import kinds, services
from trivium.runs.again import free_run_name
from trivium.runs.differences import label_in_words, value_in_words
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.models import Run, Sweep
from trivium.runs.queries import queued_runs_of
from trivium.runs.sweep_plan import Axis, Member, Method, plan_members
from trivium.workers.models import Device
from trivium.workers.queries import live_workers, queue_for

ASSUMED_VOCABULARY = 4096
SWEPT = {Run.Kind.TOKENIZER, Run.Kind.PRETRAIN, Run.Kind.SFT}
"""Kinds whose runs can be swept: those with a dial worth turning."""


class Cost(NamedTuple):
    """How long a sweep would take, as far as a run like its members tells."""

    device_s: float | None
    """Of all members one after another; None where nothing tells."""
    wall_s: float | None
    """With the devices that are there now."""
    num_parallel: int


class Preview(NamedTuple):
    """What a sweep would do."""

    members: list[Member]
    cost: Cost
    refusal: str = ""
    """Why it cannot start now; empty where it can."""

    @property
    def words(self) -> list[str]:
        """The swept values of each member as one line."""
        return [values_in_words(member) for member in self.members]


def sweeps_visible_to(user: User) -> QuerySet[Sweep]:
    """Return the sweeps of the projects `user` sees."""
    if user.is_staff:
        return Sweep.objects.all()
    return Sweep.objects.filter(project__in=projects_visible_to(user))


def with_counts(sweeps: QuerySet[Sweep]) -> QuerySet[Sweep]:
    """Return sweeps with the number of their runs, and of those that ended."""
    return sweeps.select_related("created_by", "source").annotate(
        num_runs=Count("runs"),
        num_succeeded=Count("runs", Q(runs__state=Run.State.SUCCEEDED)),
        num_finished=Count("runs", Q(runs__state__in=Run.TERMINAL)),
    )


def plan_sweep(
    run: Run, axes: Sequence[Axis], *, method: Method, number: int, seed: int
) -> list[Member]:
    """Return the runs of a sweep around `run`.

    Raises:
        SubmitError: the kind cannot be swept, or the plan is wrong.
    """
    if run.kind not in SWEPT:
        raise SubmitError(
            f"a run of kind {run.kind} cannot be swept; start from a tokenizer, "
            "pretraining or fine-tuning run"
        )
    return plan_members(
        run.kind, run.spec, axes, method=method, number=number, seed=seed
    )


def preview_sweep(
    run: Run,
    user: User,
    axes: Sequence[Axis],
    *,
    method: Method = "grid",
    number: int = 10,
    seed: int = 0,
) -> Preview:
    """Return what a sweep would do; nothing is stored.

    Raises:
        SubmitError: the plan is wrong.
    """
    members = plan_sweep(run, axes, method=method, number=number, seed=seed)
    return Preview(members, cost_of(run, members), why_too_many(user, members))


def start_sweep(
    *,
    run: Run,
    actor: User,
    axes: Sequence[Axis],
    method: Method = "grid",
    number: int = 10,
    seed: int = 0,
    name: str = "",
) -> Sweep:
    """Queue all runs of a sweep around `run`, or none of them.

    Raises:
        SubmitError: the plan is wrong, the person has too many runs queued, or an
            input of the run is gone.
    """
    members = plan_sweep(run, axes, method=method, number=number, seed=seed)
    given = clean_name(name) or f"{run.name} sweep"[:MAX_NAME]
    with transaction.atomic():
        if refusal := why_too_many(actor, members):
            raise SubmitError(refusal)
        sweep = Sweep.objects.create(
            project=run.project,
            created_by=actor,
            source=run,
            name=given,
            method=method,
            axes=[axis.model_dump(mode="json") for axis in axes],
        )
        for member in members:
            made = kinds.start_run(
                project=run.project,
                created_by=actor,
                spec=member.spec,
                name=member_name(run, member),
                priority=run.priority,
            )
            Run.objects.filter(pk=made.pk).update(
                sweep=sweep, sweep_values=member.values
            )
    return sweep


def member_name(run: Run, member: Member) -> str:
    """Return a name that tells a member from its siblings."""
    wanted = f"{run.name[:80]} · {values_in_words(member)}"
    return free_run_name(run.project, run.kind, wanted)


def values_in_words(member: Member) -> str:
    """Return the swept values of a member as one line."""
    return ", ".join(
        f"{label_in_words(member.spec.kind, name)} {value_in_words(value)}"
        for name, value in member.values.items()
    )


def why_too_many(user: User, members: Sequence[Member]) -> str:
    """Say why so many runs cannot be queued now; empty where they can."""
    queued = queued_runs_of(user).count()
    if len(members) <= max(0, settings.MAX_QUEUED_PER_USER - queued):
        return ""
    return (
        f"this sweep makes {len(members)} runs; you have {queued} queued and "
        f"{settings.MAX_QUEUED_PER_USER} are allowed, so none was queued. Leave out "
        "values, or wait until some have run"
    )


def cost_of(run: Run, members: Sequence[Member]) -> Cost:
    """Return how long members take, measured by the run the sweep starts from."""
    num_devices = getattr(members[0].spec, "num_devices", 1) if members else 1
    queue = queue_for(members[0].spec) if members else run.queue
    there = Device.objects.filter(worker__in=live_workers(), kind=queue).count()
    num_parallel = max(1, min(there // num_devices, len(members) or 1))
    whole_s = whole_duration_s(run)
    base = work_of(parse_spec(run.spec))
    if whole_s is None or not base:
        return Cost(None, None, num_parallel)
    each = [whole_s * work_of(member.spec) / base for member in members]
    total = sum(each)
    return Cost(total, max(total / num_parallel, *each), num_parallel)


def whole_duration_s(run: Run) -> float | None:
    """Return how long a run took, or will have taken; None before that is known."""
    if run.started is None:
        return None
    if run.state == Run.State.SUCCEEDED and run.ended is not None:
        return (run.ended - run.started).total_seconds()
    if run.is_live and run.eta_s is not None and run.fraction:
        return run.eta_s / max(1 - run.fraction, 1e-3)
    return None


def work_of(spec: Spec) -> float:
    """Return a figure that grows with a run's work; only ratios mean anything."""
    if isinstance(spec, PretrainSpec):
        return estimate(spec, vocabulary_size=ASSUMED_VOCABULARY).flops
    steps = getattr(spec, "max_steps", None)
    if steps:
        return float(steps * spec.batch_size * spec.accumulation)  # type: ignore[attr-defined]
    return float(getattr(spec, "epochs", 1.0))


def cancel_sweep(sweep: Sweep, actor: User) -> int:
    """Cancel every run of a sweep that is not finished; return how many that were."""
    number = 0
    for run in sweep.runs.exclude(state__in=Run.TERMINAL):
        try:
            services.request_cancel(run, actor)
        except IllegalTransitionError:
            continue  # it ended meanwhile
        number += 1
    return number


def axes_in_words(sweep: Sweep, kind: str) -> list[str]:
    """Return each axis as a person says it: `learning rate 1e-4 … 1e-2`."""
    return [axis_in_words(axis, kind) for axis in sweep.axes]


def axis_in_words(axis: dict[str, Any], kind: str) -> str:
    """Return one axis as a person says it."""
    label = label_in_words(kind, axis["setting"])
    if axis.get("low") is not None:
        low, high = value_in_words(axis["low"]), value_in_words(axis["high"])
        return f"{label} {low} … {high}"
    return f"{label} {', '.join(value_in_words(value) for value in axis['values'])}"


def sweeps_of(project: Project) -> QuerySet[Sweep]:
    """Return a project's sweeps with what a list shows of them."""
    return with_counts(Sweep.objects.filter(project=project)).order_by("-pk")
