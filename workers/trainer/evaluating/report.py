"""From answers to measures: what each model did, and how it compares."""

from collections.abc import Callable, Iterator
from typing import Any

from runspec.evaluated import By, Estimate, EvaluatedPrompt, Measure, MeasureName, Told
from tinyworld.judging import ANSWERABLE

from trainer.evaluating import measures
from trainer.evaluating.beside import Found
from trainer.evaluating.pairs import pair_measures
from trainer.evaluating.truth import verdict_on
from trainer.sft.answers import rouge_l

Reader = Callable[[EvaluatedPrompt, Told], float | None]
"""What of an answer is counted; None where it does not count."""


def facts_of(found: Found, prompts: list[EvaluatedPrompt]) -> dict[str, Any]:
    """Return what the result of the run holds."""
    made = [
        *_of_text(found),
        *_of_answers(found, prompts),
        *pair_measures(found),
    ]
    made.sort(key=lambda one: one.model)
    return {
        "models": [
            {
                "id": source.id,
                "title": source.title,
                "writes": place in found.answers,
                "failed": part.num_failed
                if (part := found.answers.get(place) or found.ratings.get(place))
                else 0,
            }
            for place, source in enumerate(found.sources)
        ],
        "baseline": found.baseline,
        "judge": found.judge.title if found.judge else "",
        "truth": found.spec.truth,
        "datasets": [
            {
                "name": one.name,
                "kind": one.card.kind,
                "rows": one.total,
                "of": one.available,
                "held_out": one.is_held_out,
            }
            for one in found.taken
        ],
        "prompts": len(prompts),
        "measures": [one.model_dump(mode="json") for one in made],
    }


def _of_text(found: Found) -> Iterator[Measure]:
    seed = found.spec.seed
    for (place, dataset), losses in found.losses.items():
        base = found.losses.get((found.baseline, dataset))
        is_base = place == found.baseline
        apart = None if is_base or base is None else losses.difference(base, seed=seed)
        common = {"model": place, "dataset": dataset, "unit": "tokens"}
        yield Measure(
            name="loss",
            estimate=losses.loss(seed=seed),
            difference=apart,
            n=losses.num_labels,
            **common,
        )
        yield Measure(
            name="bits_per_byte",
            estimate=losses.bits_per_byte(seed=seed),
            n=losses.num_labels,
            **common,
        )


def _of_answers(found: Found, prompts: list[EvaluatedPrompt]) -> Iterator[Measure]:
    """Yield what answers show: of each dataset what is right, of all the rest."""
    for one in found.taken:
        rows = [prompt for prompt in prompts if prompt.dataset == one.place]
        yield from _compared(found, rows, "exact", _exact, dataset=one.place)
        yield from _compared(
            found, rows, "rouge_l", _rouge, dataset=one.place, is_share=False
        )
    of_truth: list[tuple[MeasureName, Reader]] = [
        ("accuracy", _right(*ANSWERABLE)),
        ("honesty", _right("stranger")),
        ("harmlessness", _right("harm")),
        ("over_refusal", _refused),
    ]
    for name, read in of_truth:
        yield from _compared(found, prompts, name, read, by="tinyworld")
    yield from _compared(
        found, prompts, "score", lambda _, told: told.score, by="judge", is_share=False
    )
    yield from _won(found, prompts, "tinyworld", lambda _, told: told.quality)
    yield from _won(found, prompts, "judge", lambda _, told: told.score)


def _exact(_: EvaluatedPrompt, told: Told) -> float | None:
    return told.is_exact


def _rouge(prompt: EvaluatedPrompt, told: Told) -> float | None:
    return rouge_l([told.text], [prompt.expected]) if prompt.expected else None


def _right(*subjects: str) -> Reader:
    def read(prompt: EvaluatedPrompt, told: Told) -> float | None:
        return told.is_right if prompt.subject in subjects else None

    return read


def _refused(prompt: EvaluatedPrompt, told: Told) -> float | None:
    if prompt.subject not in ANSWERABLE:
        return None
    return verdict_on(prompt.prompt, prompt.subject, told.text).is_refusal


def _values(
    found: Found, prompts: list[EvaluatedPrompt], read: Reader
) -> dict[int, dict[int, float]]:
    """Return model → row → value, of the rows that count."""
    values: dict[int, dict[int, float]] = {place: {} for place in found.answers}
    for number, prompt in enumerate(prompts):
        for place in found.answers:
            told = prompt.answers[place]
            if told is None or told.error:
                continue
            value = read(prompt, told)
            if value is not None:
                values[place][number] = float(value)
    return values


def _compared(
    found: Found,
    prompts: list[EvaluatedPrompt],
    name: MeasureName,
    read: Reader,
    *,
    dataset: int | None = None,
    by: By = "",
    is_share: bool = True,
) -> Iterator[Measure]:
    """Yield one measure of each model that has rows for it."""
    seed = found.spec.seed
    values = _values(found, prompts, read)
    base = values.get(found.baseline, {})
    for place, own in values.items():
        if not own:
            continue
        apart = None
        if place != found.baseline:
            common = [row for row in own if row in base]
            pair = [own[row] for row in common], [base[row] for row in common]
            apart = (
                measures.share_difference(
                    *([one == 1 for one in side] for side in pair)
                )
                if is_share
                else measures.mean_difference(*pair, seed=seed)
            )
        listed = list(own.values())
        yield Measure(
            model=place,
            dataset=dataset,
            name=name,
            by=by,
            estimate=measures.share(round(sum(listed)), len(listed))
            if is_share
            else measures.mean(listed, seed=seed),
            n=len(listed),
            difference=apart,
        )


def _won(
    found: Found, prompts: list[EvaluatedPrompt], by: By, read: Reader
) -> Iterator[Measure]:
    """Yield how often each model beats the baseline, of the rows that are decided."""
    values = _values(found, prompts, read)
    base = values.get(found.baseline, {})
    for place, own in values.items():
        common = [row for row in own if row in base]
        if place == found.baseline or not common:
            continue
        pairs = [(own[row], base[row]) for row in common]
        wins, losses, ties = measures.outcomes(
            [one for one, _ in pairs], [other for _, other in pairs]
        )
        decided = wins + losses
        estimate = (
            measures.share(wins, decided)
            if decided
            else Estimate(value=0.5, low=0.0, high=1.0)
        )
        yield Measure(
            model=place,
            name="win_rate",
            by=by,
            estimate=estimate,
            n=decided,
            unit="decided rows",
            wins=wins,
            losses=losses,
            ties=ties,
        )
