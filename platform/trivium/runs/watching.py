"""What the pages of runs show: rows, the header, and each tab of one run."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db.models import Min, Prefetch, QuerySet
from django.utils import timezone
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from runspec import SPECS

from trivium.metrics.queries import curve_names
from trivium.pages import lineage
from trivium.projects.models import Project
from trivium.runs import cockpit, compare, logs, retention
from trivium.runs.applying import settings_ignored
from trivium.runs.differences import value_in_words
from trivium.runs.fields import extra_of, label_of, shown
from trivium.runs.figures import figures, results_of
from trivium.runs.models import Run
from trivium.runs.preference import judged_of
from trivium.runs.preflights import (
    facts_for_page,
    preflight_for_page,
    preflight_of,
    report_of,
    training_of,
)
from trivium.runs.relatives import inputs_of, output_of
from trivium.workers.queries import why_it_waits

State = Run.State
MAX_ROWS = 200
LOG_BYTES = 65_536
TABS = {
    "charts": "Charts",
    "preference": "Held-out pairs",
    "samples": "Samples",
    "preflight": "Preflight",
    "log": "Log",
    "checkpoints": "Checkpoints",
    "spec": "Spec",
    "lineage": "Lineage",
    "events": "Events",
}
CURVED = {Run.Kind.PRETRAIN, Run.Kind.SFT}
"""Kinds whose page opens on charts even before there is a point."""


VARIED = {Run.Kind.TOKENIZER, Run.Kind.PRETRAIN, Run.Kind.SFT}
"""Kinds with settings worth changing, by the form or by a sweep."""


class Actions(NamedTuple):
    """What may be asked of a run in the state it is in."""

    cancel: bool
    pause: bool
    resume: bool
    retry: bool
    reorder: bool


class Row(NamedTuple):
    """One row of the list."""

    run: Run
    can: Actions


class Setting(NamedTuple):
    """One setting of a spec, as a page shows it."""

    label: str
    value: Any
    unit: str
    help: str
    group: str
    is_basic: bool
    is_default: bool


def runs_for_pages(project: Project) -> QuerySet[Run]:
    """Return a project's runs with what a row shows of them."""
    return (
        Run.objects.filter(project=project)
        .select_related("project", "created_by", "worker")
        .prefetch_related(
            Prefetch(
                "depends_on", Run.objects.filter(kind=Run.Kind.PREFLIGHT), "preflights"
            )
        )
    )


def actions_for(run: Run) -> Actions:
    """Return what may be asked of a run."""
    is_stopping = run.desired_state == Run.Desired.CANCEL
    is_resumable = run.kind in SPECS and SPECS[run.kind].is_resumable
    return Actions(
        cancel=not run.is_finished and not is_stopping,
        pause=run.state in {State.QUEUED, State.WAITING}
        or (run.state == State.RUNNING and is_resumable and not is_stopping),
        resume=run.state == State.PAUSED,
        retry=run.state in {State.FAILED, State.CANCELLED},
        reorder=run.state in {State.QUEUED, State.WAITING, State.PAUSED},
    )


def chosen_tab(run: Run, asked: str) -> str:
    """Return the tab to show: the one asked for, or what matters most now."""
    if asked in TABS:
        return asked
    if is_about_preflight(run):
        return "preflight"
    if run.state == State.FAILED:
        return "log"
    if run.kind in CURVED or curve_names(run.pk):
        return "charts"
    return "events" if run.fence == 0 else "log"


def is_about_preflight(run: Run) -> bool:
    """Whether a run is a preflight, waits for one, or ended because of it."""
    if run.kind == Run.Kind.PREFLIGHT:
        return True
    is_before = run.fence == 0 and run.state in {
        State.WAITING,
        State.FAILED,
        State.CANCELLED,
    }
    return is_before and preflight_of(run) is not None


def is_told_on_tab(run: Run, tab: str) -> bool:
    """Whether the tab itself says why a run failed, and how to mend it."""
    if tab != "preflight" or not is_about_preflight(run):
        return False
    checked = preflight_of(run)
    return checked is not None and report_of(checked) is not None


def tabs_of(run: Run) -> dict[str, str]:
    """Return the tabs that a run has, each with its label."""
    if run.kind == Run.Kind.PREFLIGHT:
        left_out = {"charts", "preference", "samples", "checkpoints"}
    else:
        left_out = set() if preflight_of(run) is not None else {"preflight"}
        left_out |= set() if judged_of(run) is not None else {"preference"}
    return {name: label for name, label in TABS.items() if name not in left_out}


def shown_version(run: Run) -> int:
    """Return a count that grows with every change of a run or of its preflight."""
    checked = preflight_of(run)
    is_apart = checked is not None and checked.pk != run.pk
    return run.version + (checked.version if checked and is_apart else 0)


def kind_to_repeat(run: Run) -> str:
    """Return the kind of the form that makes a run like this; empty without one."""
    kind = str(training_of(run).get("kind", ""))
    return kind if kind in {Run.Kind.TOKENIZER, *CURVED} else ""


def header_context(run: Run, *, can_edit: bool) -> dict[str, Any]:
    """Return what the header and the side column need."""
    can = actions_for(run)
    attempt = run.attempts.select_related("worker").order_by("-fence").first()
    return {
        "run": run,
        "project": run.project,
        "can": can,
        "can_edit": can_edit,
        "can_retry": can.retry and can_edit,
        "can_vary": run.kind in VARIED,
        "repeats": kind_to_repeat(run),
        "resume_step": resume_step(run) if can.retry else None,
        "attempt": attempt,
        "preflight": run.depends_on.filter(kind=Run.Kind.PREFLIGHT).last(),
        "checked": run.dependants.order_by("pk").first()
        if run.kind == Run.Kind.PREFLIGHT
        else None,
        "why_it_waits": why_it_waits(run.queue, run.num_devices)
        if run.state == Run.State.QUEUED
        else "",
        "duration_s": duration_s(run),
        "highlights": [
            setting
            for setting in settings_of(run)
            if setting.is_basic and setting.value not in {None, ""}
        ],
        "results": results_of(run),
        "relatives": inputs_of(run),
        "output": output_of(run),
    }


def resume_step(run: Run) -> int | None:
    """Return the step from which the same run, tried again, would go on."""
    return run.checkpoints.order_by("-step").values_list("step", flat=True).first()


def duration_s(run: Run) -> float | None:
    """Seconds from the first start to the end, or to now."""
    if run.started is None:
        return None
    return ((run.ended or timezone.now()) - run.started).total_seconds()


def settings_of(run: Run) -> list[Setting]:
    """Return a run's settings, references left out."""
    spec = training_of(run)
    model = SPECS.get(str(spec.get("kind")))
    fields: dict[str, FieldInfo] = model.model_fields if model else {}
    ignored = settings_ignored(spec)
    found = []
    for name, field in fields.items():
        extra = extra_of(field)
        if name in {"kind", *ignored} or "reference" in extra or name not in spec:
            continue
        value = spec[name]
        default = field.get_default()
        if isinstance(value, list):
            default = list(default or ())
        if isinstance(default, BaseModel):
            default = default.model_dump(mode="json")
        setting = Setting(
            label=label_of(name, field),
            value=value_to_read(name, value),
            unit=extra.get("unit", ""),
            help=field.description or "",
            group=extra.get("group") or "Settings",
            is_basic=extra.get("level", "basic") == "basic",
            is_default=value == default,
        )
        found.append(setting)
    return found


def value_to_read(name: str, value: Any) -> Any:
    """Return a setting's value as a page shows it; reward functions as one types it."""
    if name == "reward_functions":
        return "; ".join(str(shown(value)).split("\n"))
    return value_in_words(value) if holds_tables(value) else shown(value)


def holds_tables(value: Any) -> bool:
    """Whether a setting is a table of its own, or several, like ways to sample."""
    items = value if isinstance(value, list) else [value]
    return any(isinstance(one, dict) for one in items)


def counts(run: Run) -> dict[str, int]:
    """Return how much each tab holds, where that is worth a number."""
    return {
        "samples": run.samples.count(),
        "checkpoints": run.checkpoints.count(),
        "events": run.warnings.count(),
    }


def tab_context(run: Run, tab: str, *, attempt: int | None = None) -> dict[str, Any]:
    """Return what one tab shows; `attempt` chooses a log."""
    if tab == "log":
        return log_tab(run, run.fence if attempt is None else attempt)
    return TAB_CONTEXTS[tab](run)


def charts_tab(run: Run) -> dict[str, Any]:
    """Charts fetch their points themselves."""
    return {"has_curves": bool(curve_names(run.pk))}


def preference_tab(run: Run) -> dict[str, Any]:
    """How well the model told held-out pairs apart."""
    return {"judged": judged_of(run)}


def samples_tab(run: Run) -> dict[str, Any]:
    """Texts, newest step first; of RLHF the same prompts' answers side by side."""
    if run.kind == Run.Kind.RLHF:
        return {"side_by_side": cockpit.side_by_side(run.samples.order_by("pk"))}
    return {"samples": run.samples.order_by("-step", "pk")[:MAX_ROWS]}


def preflight_tab(run: Run) -> dict[str, Any]:
    """What was checked, and the first batch as the model will see it."""
    found = preflight_for_page(run)
    report = found.report if found is not None else None
    return {
        "inspection": found,
        "is_check_only": run.kind == Run.Kind.PREFLIGHT and not run.dependants.exists(),
        "is_mendable": run.state in {State.FAILED, State.CANCELLED},
        "facts": figures(facts_for_page(report)) if report is not None else [],
    }


def log_tab(run: Run, attempt: int) -> dict[str, Any]:
    """The end of an attempt's log."""
    return {
        "log": logs.read_log(run.pk, attempt, limit=LOG_BYTES),
        "log_attempt": attempt,
        "attempts": range(1, min(run.fence, MAX_ROWS) + 1),
    }


def checkpoints_tab(run: Run) -> dict[str, Any]:
    """Checkpoints, the best figure among them, what stays and the disk it takes."""
    rules = ("checkpoint_every", "keep_checkpoints", "keep_every")
    fields = SPECS[run.kind].model_fields if run.kind in SPECS else {}
    # The smallest is kept as the best, so what should be large is stored negated.
    metric = str(run.spec.get("best_metric", "loss"))
    is_negated = compare.direction(metric) == "high"
    return {
        "rules": [
            {"label": label_of(name, fields[name]), "value": run.spec[name]}
            for name in rules
            if name in fields and run.spec.get(name)
        ],
        "checkpoints": [
            (row, -row.metric if is_negated and row.metric is not None else row.metric)
            for row in run.checkpoints.order_by("-step")[:MAX_ROWS]
        ],
        "metric": metric.replace("_", " "),
        "best": run.checkpoints.aggregate(best=Min("metric"))["best"],
        "disk": retention.outlook(run),
    }


def spec_tab(run: Run) -> dict[str, Any]:
    """Every setting."""
    return {"groups": grouped(run)}


def lineage_tab(run: Run) -> dict[str, Any]:
    """What the run read and what it makes, and runs before and after."""
    return {
        "levels": lineage.run_levels(run),
        "depends_on": run.depends_on.order_by("pk"),
        "dependants": run.dependants.order_by("pk")[:MAX_ROWS],
    }


def events_tab(run: Run) -> dict[str, Any]:
    """How the run came to be where it is."""
    attempts = run.attempts.select_related("worker").order_by("-fence")
    return {
        "transitions": run.transitions.order_by("-pk")[:MAX_ROWS],
        "attempt_rows": attempts[:MAX_ROWS],
        "warnings": run.warnings.order_by("-pk")[:MAX_ROWS],
    }


TAB_CONTEXTS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "charts": charts_tab,
    "preference": preference_tab,
    "samples": samples_tab,
    "preflight": preflight_tab,
    "checkpoints": checkpoints_tab,
    "spec": spec_tab,
    "lineage": lineage_tab,
    "events": events_tab,
}


def grouped(run: Run) -> dict[str, list[Setting]]:
    """Return all settings of a run under the names of their groups."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings_of(run):
        groups.setdefault(setting.group, []).append(setting)
    return groups
