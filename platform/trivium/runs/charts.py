"""Charts of a run: which curves belong together, and their points as JSON."""

import csv
import io
import math
from typing import Any, NamedTuple

from runspec import PretrainSpec, parse_spec

from trivium.metrics import queries as metrics
from trivium.metrics.queries import Curve
from trivium.runs import cockpit
from trivium.runs.models import Run

MAX_POINTS = 2000
MAX_MARKS = 100
MAX_CURVES = 60
MAX_CSV_POINTS = 1_000_000
TITLES = {"train/mfu": "Share of the device's peak", "train/tokens_per_s": "Tokens/s"}


class Chart(NamedTuple):
    """Curves drawn over each other."""

    title: str
    curves: list[str]
    lines: tuple[dict[str, Any], ...] = ()
    """Limits drawn across: `value`, `text` and `kind` (min or max) of each."""


def group_curves(names: list[str]) -> list[Chart]:
    """Put losses into one chart, the learning rate into the next, others after."""
    losses = [name for name in names if last_part(name) == "loss"]
    rates = [name for name in names if last_part(name) in {"learning_rate", "lr"}]
    charts = []
    if losses:
        # The training loss is drawn first, so that validation dots lie above it.
        losses.sort(key=lambda name: (is_validation(name), name))
        charts.append(Chart("Loss", losses))
    if rates:
        charts.append(Chart("Learning rate", rates))
    others = [name for name in names if name not in {*losses, *rates}]
    charts += [Chart(title_of(name), [name]) for name in others]
    return charts[:MAX_CURVES]


def charts_of(run: Run) -> list[Chart]:
    """Return the charts of a run, those of RLHF as its cockpit has them."""
    names = metrics.curve_names(run.pk)
    spec = cockpit.spec_of(run)
    if spec is None:
        return group_curves(names)
    charts, others = cockpit.grouped(names)
    known = [
        Chart(title, found, tuple(cockpit.limits_in(spec, title)))
        for title, found in charts
    ]
    return [*known, *group_curves(others)][:MAX_CURVES]


def last_part(name: str) -> str:
    """`train/loss` → `loss`."""
    return name.rpartition("/")[2].lower()


def is_validation(name: str) -> bool:
    """Whether a curve is measured on rows not trained on."""
    return name.lower().startswith(("val", "eval", "answers/"))


def title_of(name: str) -> str:
    """`train/grad_norm` → `Grad norm`; a part other than `train` stays."""
    text = name.removeprefix("train/").replace("_", " ").replace("/", " ")
    return TITLES.get(name, text[:1].upper() + text[1:])


def overview(run: Run) -> dict[str, Any]:
    """Return the charts there are, marks, and what scales steps to tokens."""
    charts = charts_of(run)
    return {
        "fence": run.fence,
        "is_finished": run.is_finished,
        "tokens_per_step": tokens_per_step(run),
        "marks": marks(run),
        "charts": [chart._asdict() for chart in charts],
    }


def tokens_per_step(run: Run) -> int | None:
    """Return how many tokens a step sees, where steps are optimizer steps."""
    try:
        spec = parse_spec(run.spec)
    except ValueError:
        return None
    return spec.tokens_per_step if isinstance(spec, PretrainSpec) else None


def marks(run: Run) -> list[dict[str, Any]]:
    """Return what happened at which step: checkpoints, resumes, warnings."""
    saved = run.checkpoints.order_by("-step").values_list("step", flat=True)
    resumed = run.attempts.filter(resumed_from__isnull=False).order_by("-fence")
    warned = run.warnings.order_by("-pk").values_list("step", "message")
    return [
        *({"kind": "checkpoint", "step": step, "text": f"checkpoint at step {step}"}
          for step in saved[:MAX_MARKS]),
        *({"kind": "resume", "step": row.resumed_from,
           "text": f"attempt {row.fence} went on from step {row.resumed_from}"}
          for row in resumed[:MAX_MARKS]),
        *({"kind": "warning", "step": step, "text": message[:300]}
          for step, message in warned[:MAX_MARKS]),
    ]  # fmt: skip


def points(run: Run, wanted: dict[str, int | None]) -> list[dict[str, Any]]:
    """Return the points of curves, each beyond a step of its own; NaN is null."""
    return [
        as_json(name, metrics.read_curve(
            run.pk, name, max_points=MAX_POINTS, after_step=after))
        for name, after in list(wanted.items())[:MAX_CURVES]
    ]  # fmt: skip


def as_json(name: str, curve: Curve) -> dict[str, Any]:
    """JSON has neither NaN nor infinities: both are gaps in a line."""
    values = curve.values.tolist()
    return {
        "name": name,
        "steps": curve.steps.tolist(),
        "values": [value if math.isfinite(value) else None for value in values],
    }


def as_csv(run: Run, names: list[str]) -> str:
    """Return every point of the curves: `curve,step,value`."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["curve", "step", "value"])
    for name in names[:MAX_CURVES]:
        curve = metrics.read_curve(run.pk, name, max_points=MAX_CSV_POINTS)
        pairs = zip(curve.steps.tolist(), curve.values.tolist(), strict=True)
        writer.writerows((name, step, value) for step, value in pairs)
    return text.getvalue()
