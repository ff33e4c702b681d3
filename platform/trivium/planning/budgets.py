"""A project's budget: what may be spent, and what happens before it is.

The sweeper reckons what live runs will have used by the time a pause takes hold. Where
the budget does not cover that, it asks them to pause and marks the budget as spent:
from then on no run of the project starts, until someone raises it. The mark stays even
while a little is left, or runs would be started only to be paused again.
"""

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from runspec import parse_spec

from trivium.accounts.models import User
from trivium.planning.models import Budget
from trivium.planning.queries import defaults_of, device_table
from trivium.planning.spending import Spent, Used, priced, spent_by_project
from trivium.planning.templatetags import planned
from trivium.projects.models import Project
from trivium.runs.models import Attempt, Run
from trivium.runs.services import resume_run
from trivium.runs.transitions import move_run

ACTOR = "budget"
WAITS = "the project's budget is spent; an admin can raise it on the page of its costs"
"""Why a queued run does not start."""
LEAST_HORIZON_S = 60.0


def horizon_s() -> float:
    """Return how long runs may still be at work after the sweeper looked.

    They report what they use with each heartbeat, are looked at each sweep, and may
    take their grace to save.
    """
    slow = settings.HEARTBEAT_S + 2 * settings.SWEEP_S + settings.STOP_GRACE_S
    return max(LEAST_HORIZON_S, slow)


def budget_of(project: Project) -> Budget | None:
    """Return a project's budget, if it has one."""
    return Budget.objects.filter(project=project).select_related("project").first()


def counted(spent: Spent, unit: str) -> float:
    """Return what was spent, in the unit of a budget."""
    return {
        Budget.Unit.MONEY.value: spent.money,
        Budget.Unit.DEVICE_HOURS.value: spent.device_hours,
        Budget.Unit.KWH.value: spent.energy_kwh,
    }[unit]


def in_words(amount: float, unit: str, currency: str) -> str:
    """Return an amount with its unit."""
    if unit == Budget.Unit.MONEY:
        return planned.money(amount, currency)
    if unit == Budget.Unit.KWH:
        return planned.energy(amount)
    return f"{planned.scaled(amount)} device-hours"


def set_budget(*, project: Project, actor: User, amount: float, unit: str) -> Budget:
    """Set what a project may spend; let what it held go on where that is enough."""
    now = {"amount": amount, "unit": unit, "updated": timezone.now()}
    with transaction.atomic():
        budget, _ = Budget.objects.update_or_create(
            project=project, defaults=now | {"updated_by": actor}
        )
        left = amount - counted(spent_by_project(project), unit)
        Budget.objects.filter(pk=budget.pk).update(is_spent=left <= 0)
        budget.refresh_from_db()
        if not budget.is_spent:
            let_go_on(project, actor)
    return budget


def remove_budget(*, project: Project, actor: User) -> None:
    """Let a project spend what it likes, and what was held go on."""
    with transaction.atomic():
        Budget.objects.filter(project=project).delete()
        let_go_on(project, actor)


def let_go_on(project: Project, actor: User) -> None:
    """Queue the runs that the budget had paused; others wait for nothing more."""
    runs = Run.objects.filter(project=project)
    for run in runs.filter(state=Run.State.PAUSED, is_held_by_budget=True):
        resume_run(run, actor)
    runs.filter(state=Run.State.QUEUED, reason=WAITS).update(
        reason="", version=F("version") + 1
    )


def enforce() -> None:
    """Pause what would exceed a budget, and say of queued runs why they wait."""
    for budget in Budget.objects.select_related("project"):
        if is_nearly_spent(budget):
            Budget.objects.filter(pk=budget.pk, is_spent=False).update(is_spent=True)
            budget.is_spent = True
        if budget.is_spent:
            hold(budget)


def is_nearly_spent(budget: Budget) -> bool:
    """Whether what is left does not cover what live runs may use until they pause."""
    spent = counted(spent_by_project(budget.project), budget.unit)
    return spent + counted(soon(budget.project), budget.unit) >= budget.amount


def soon(project: Project) -> Spent:
    """Return what the live runs of a project cost within the horizon."""
    live = Attempt.objects.filter(
        run__project=project, run__state__in=Run.LIVE, fence=F("run__fence")
    ).exclude(device="")
    use = [
        Used(device, units * horizon_s(), 0.0, units * horizon_s())
        for device, units in live.values_list("device", "num_units")
    ]
    return priced(use, defaults_of(project), device_table())


def hold(budget: Budget) -> None:
    """Ask the live runs of a project to pause, and tell the queued ones to wait."""
    runs = Run.objects.filter(project=budget.project)
    reason = why(budget)
    for run in runs.filter(state=Run.State.RUNNING):
        # What has no checkpoints would lose its work; it is short and runs to its end.
        if not parse_spec(run.spec).is_resumable:
            continue
        move_run(
            run_id=run.pk,
            sources=[Run.State.RUNNING],
            target=Run.State.PAUSING,
            actor=ACTOR,
            reason=reason,
            desired_state=Run.Desired.PAUSE,
            is_held_by_budget=True,
        )
    runs.filter(state=Run.State.QUEUED).exclude(reason=WAITS).update(
        reason=WAITS, version=F("version") + 1
    )


def why(budget: Budget) -> str:
    """Return why a run is paused, in one sentence."""
    spent = spent_by_project(budget.project)
    used = in_words(counted(spent, budget.unit), budget.unit, spent.currency)
    allowed = in_words(budget.amount, budget.unit, spent.currency)
    return (
        f"the project has spent {used} of its budget of {allowed}, and going on would "
        "exceed it; it goes on when an admin raises the budget"
    )
