"""The check of what a training run would see, as the pages of runs show it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.utils.safestring import SafeString
from runspec.preflight import BatchRow, Check, Piece, PreflightReport

from trivium.runs.coloured import Part, draw
from trivium.runs.models import Run

GLYPHS = {"ok": "✓", "warning": "!", "failed": "✕"}
WORDS = {"ok": "fine", "warning": "look at this", "failed": "must be mended"}
ORDER = ("failed", "warning", "ok")
MAX_ROWS = 32
NOT_FOR_PEOPLE = {"template", "model", "threads", "lengths"}
"""Facts that say nothing a page does not show better elsewhere."""


class Finding(NamedTuple):
    """One check, with what a button would change."""

    check: Check
    glyph: str
    word: str


class Row(NamedTuple):
    """One row of the first batch, drawn."""

    number: int
    row: BatchRow
    reads: SafeString
    writes: SafeString
    share: float
    """Of its tokens, those learned from."""


class Preflight(NamedTuple):
    """What the tab shows of a preflight."""

    run: Run
    report: PreflightReport | None
    """None while it is at work, and where it ended without one."""
    findings: list[Finding]
    """What failed comes first."""
    rows: list[Row]
    num_failed: int
    num_warnings: int

    @property
    def is_passed(self) -> bool:
        """Whether training may start."""
        return self.report is not None and not self.num_failed


def preflight_of(run: Run) -> Run | None:
    """Return the preflight of a run: itself, or the one it waits or waited for."""
    if run.kind == Run.Kind.PREFLIGHT:
        return run
    return run.depends_on.filter(kind=Run.Kind.PREFLIGHT).order_by("-pk").first()


def training_of(run: Run) -> dict[str, Any]:
    """Return the spec of the training a run is, or checks."""
    if run.kind != Run.Kind.PREFLIGHT:
        return dict(run.spec)
    training = run.spec.get("training")
    return dict(training) if isinstance(training, dict) else {}


def report_of(run: Run) -> PreflightReport | None:
    """Return what a preflight found; None without a report this version can read."""
    try:
        return PreflightReport.model_validate(run.result.get("report"))
    except ValueError:
        return None


def changes_of(run: Run, name: str) -> dict[str, Any]:
    """Return the settings that would mend what the check `name` of a run found."""
    checked = preflight_of(run) if name else None
    report = report_of(checked) if checked is not None else None
    for check in report.checks if report is not None else ():
        if check.name == name:
            return dict(check.changes)
    return {}


def preflight_for_page(run: Run) -> Preflight | None:
    """Return what the tab of a run shows; None for a run that has no preflight."""
    checked = preflight_of(run)
    if checked is None:
        return None
    report = report_of(checked)
    checks = sorted(
        report.checks if report is not None else (),
        key=lambda check: ORDER.index(check.status),
    )
    batch = report.batch[:MAX_ROWS] if report is not None else []
    return Preflight(
        run=checked,
        report=report,
        findings=[
            Finding(check, GLYPHS[check.status], WORDS[check.status])
            for check in checks
        ],
        rows=[row_for_page(number, row) for number, row in enumerate(batch, start=1)],
        num_failed=sum(check.status == "failed" for check in checks),
        num_warnings=sum(check.status == "warning" for check in checks),
    )


def facts_for_page(report: PreflightReport) -> dict[str, Any]:
    """Return the numbers of a report a person may want; lists in words."""
    return {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in report.facts.items()
        if name not in NOT_FOR_PEOPLE and value not in ([], "")
    }


def row_for_page(number: int, row: BatchRow) -> Row:
    """Draw a row."""
    return Row(
        number,
        row,
        draw(parts_of(row.pieces)),
        draw(parts_of(row.target)),
        row.trained_tokens / row.tokens if row.tokens else 0.0,
    )


def parts_of(pieces: Iterable[Piece]) -> Iterable[Part]:
    """Return pieces with what is said when one points at them."""
    for piece in pieces:
        tokens = f"{piece.tokens:,} token{'' if piece.tokens == 1 else 's'}"
        what = "learned from" if piece.is_trained else "only read"
        yield piece.text, piece.is_trained, f"{tokens}, {what}"
