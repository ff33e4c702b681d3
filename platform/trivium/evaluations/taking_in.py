"""Bringing in what an `evaluate` run found: its measures, and every answer.

Rows are the same however often a run publishes, and one that is in is passed over.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runspec import EvaluateSpec
from runspec.evaluated import EvaluatedPrompt
from runspec.layout import ANSWERS_FILE

from trivium.evaluations.models import EvaluatedRow, Evaluation
from trivium.naming import MAX_NAME, clean_name
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.serving.choices import ModelChoice

AT_ONCE = 200
"""Rows a transaction takes."""
ARROW = " \N{RIGHTWARDS ARROW} "


def claim_evaluation(run: Run, spec: EvaluateSpec, name: str) -> str:
    """Make the evaluation a run will fill, or take over one that came to nothing.

    Returns its name; without one it is named after its models.

    Raises:
        SubmitError: the name cannot be used.
    """
    given = clean_name(name) if name else named_after(spec)
    same = Evaluation.objects.filter(project=run.project, name=given, facts={})
    abandoned = same.filter(run__state__in=Run.TERMINAL, run__spec=run.spec).first()
    if abandoned is not None:
        abandoned.rows.all().delete()
        Evaluation.objects.filter(pk=abandoned.pk).update(run=run)
    else:
        Evaluation.objects.create(
            project=run.project, name=given, run=run, created_by=run.created_by
        )
    return given


def named_after(spec: EvaluateSpec) -> str:
    """Return the names of the models, in their order."""
    names = [choice_id.partition("/")[2] or choice_id for choice_id in spec.models]
    return clean_name(ARROW.join(names)[:MAX_NAME])


def publish_evaluation(
    run: Run, output: Path, result: dict[str, Any]
) -> dict[str, Any]:
    """Store every answer of a run; return what its evaluation holds then."""
    evaluation = Evaluation.objects.get(run=run)
    for first, lines in _chunks(output / ANSWERS_FILE):
        EvaluatedRow.objects.bulk_create(
            (row_of(evaluation, first + at, line) for at, line in enumerate(lines)),
            ignore_conflicts=True,
        )
    return {"facts": result}


def refuse_unfit(chosen: dict[str, list[ModelChoice]]) -> None:
    """Refuse models that cannot be what the spec wants of them.

    Raises:
        SubmitError: the judge rates nothing, or the baseline is none of the models.
    """
    for choice in chosen.get("judge", ()):
        if not choice.has_score_head:
            raise SubmitError(
                f"judge: {choice.title} is no reward model; choose one, or none",
                field="judge",
            )
    for choice in chosen.get("models", ()):
        if not (choice.can_write or choice.has_score_head):
            raise SubmitError(
                f"models: {choice.title} neither writes text nor rates any, so there "
                "is nothing to measure here",
                field="models",
            )
    ids = [choice.id for choice in chosen.get("models", ())]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise SubmitError(f"models: {twice} stands there twice", field="models")
    for choice in chosen.get("baseline", ()):
        if choice.id not in ids:
            raise SubmitError(
                f"baseline: {choice.title} is not among the models", field="baseline"
            )


def row_of(evaluation: Evaluation, place: int, line: EvaluatedPrompt) -> EvaluatedRow:
    """Return a line as the row that is stored."""
    return EvaluatedRow(
        evaluation=evaluation,
        place=place,
        dataset=line.dataset,
        number=line.number,
        prompt=line.prompt,
        expected=line.expected,
        subject=line.subject,
        answers=[
            one.model_dump(mode="json", exclude_defaults=True) if one else None
            for one in line.answers
        ],
        differs=line.differs,
        is_wrong=line.is_wrong,
    )


def _chunks(path: Path) -> Iterator[tuple[int, list[EvaluatedPrompt]]]:
    with path.open("rb") as file:
        lines = map(EvaluatedPrompt.model_validate_json, file)
        for first in itertools.count(0, AT_ONCE):
            chunk = list(itertools.islice(lines, AT_ONCE))
            if not chunk:
                return
            yield first, chunk
