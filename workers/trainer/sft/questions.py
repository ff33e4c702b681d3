"""What a model is asked while it is fine-tuned: held-out rows, and further datasets."""

from trainer.sft.answers import Asked
from trainer.sft.parts import Parts
from trainer.sft.rows import Source

MAX_EVALUATE_ON = 1000
"""Rows of a further dataset, at most."""


def questions(parts: Parts) -> list[Asked]:
    """Return what is answered at each evaluation: validation rows, spread evenly."""
    return asked_of(parts, parts.sources, "validation", parts.spec.answer_rows)


def asked_of(parts: Parts, sources: list[Source], split: str, most: int) -> list[Asked]:
    """Return at most so many rows of a split as questions."""
    if not most or parts.spec.task == "classification":
        return []
    total = sum(s.card.splits[split].rows for s in sources if split in s.card.splits)
    step = max(1, total // most)
    found: list[Asked] = []
    for source in sources:
        rows = [row for at, row in enumerate(source.rows(split)) if at % step == 0]
        found += parts.asked(rows[: most - len(found)], source.card.kind)
    limit = parts.context_length
    return [one for one in found if len(one.ids) < limit]


def further_questions(parts: Parts) -> dict[str, list[Asked]]:
    """Return the questions of each further dataset, under its name."""
    found: dict[str, list[Asked]] = {}
    for path in parts.spec.evaluate_on:
        source = Source.open(path)
        name = source.name.rsplit("/", 1)[-1].split(".", 1)[0] or "rows"
        while name in found:
            name += "'"
        asked: list[Asked] = []
        for split in ("train", "validation"):
            asked += asked_of(parts, [source], split, MAX_EVALUATE_ON)
        found[name] = asked
    return found
