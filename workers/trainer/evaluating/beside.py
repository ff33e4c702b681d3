"""All that came back, row by row: what stands side by side on the page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from runspec import EvaluateSpec
from runspec.evaluated import EvaluatedPrompt, Told
from runspec.labels import Source

from trainer.asking.parts import PartFile
from trainer.evaluating.losses import WindowLosses
from trainer.evaluating.rows import Taken
from trainer.evaluating.truth import subject_of, verdict_on
from trainer.generating.rows import Row


@dataclass(frozen=True)
class Found:
    """All that was asked and what came back."""

    spec: EvaluateSpec
    sources: list[Source]
    baseline: int
    judge: Source | None
    taken: list[Taken]
    answers: dict[int, PartFile]
    """Model → its replies, in the order of the rows."""
    ratings: dict[int, PartFile]
    """Reward model → its scores of pairs, chosen before rejected."""
    verdicts: PartFile | None
    """The judge's scores: of the first writer's answers, then of the next one's."""
    losses: dict[tuple[int, int], WindowLosses]
    """(model, dataset) → losses."""


def evaluated_prompts(
    found: Found, rows: Iterable[tuple[int, Row]]
) -> Iterator[EvaluatedPrompt]:
    """Yield every row with what all models made of it."""
    num_rows = next(iter(found.answers.values())).total if found.answers else 0
    order = {place: at for at, place in enumerate(found.answers)}
    for number, (dataset, row) in enumerate(rows):
        if not found.answers:
            return
        is_world = found.spec.truth == "tinyworld"
        subject = subject_of(row.turns) if is_world else None
        told: list[Told | None] = []
        for place in range(len(found.sources)):
            if place not in found.answers:
                told.append(None)
                continue
            score = None
            if found.verdicts is not None:
                at = order[place] * num_rows + number
                score = found.verdicts.read(at).score
            told.append(_told(found.answers[place], number, row, subject, score))
        yield EvaluatedPrompt(
            dataset=dataset,
            number=row.number,
            prompt=row.turns,
            expected=row.answer,
            subject=subject or "",
            answers=tuple(told),
        )


def _told(
    part: PartFile, number: int, row: Row, subject: Any, score: float | None
) -> Told:
    reply = part.read(number)
    if reply.answer is None:
        return Told(error=reply.error)
    text = reply.answer.text
    verdict = verdict_on(row.turns, subject, text) if subject else None
    return Told(
        text=text,
        finish_reason=reply.answer.finish_reason,
        is_exact=text.strip() == row.answer.strip() if row.answer else None,
        is_right=verdict.is_right if verdict else None,
        quality=verdict.quality if verdict else None,
        score=score,
    )
