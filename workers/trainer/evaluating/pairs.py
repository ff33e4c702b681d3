"""How well reward models tell pairs apart, beside length alone."""

from collections.abc import Iterator

from runspec.evaluated import Estimate, Measure

from trainer.align.measures import wilson
from trainer.evaluating import measures
from trainer.evaluating.beside import Found
from trainer.evaluating.rows import PREFERENCES, Taken
from trainer.generating.rows import Row

NAMED_AT_MOST = 5
EQUAL = 0.5
"""Of a pair whose answers are rated alike, so much counts as right."""


def pair_measures(found: Found) -> Iterator[Measure]:
    """Yield the share of pairs each reward model tells apart; ties count half."""
    start = 0
    for one in found.taken:
        if one.card.kind != PREFERENCES:
            continue
        pairs = list(one.pairs())
        beside, words = _by_length(one, [pair.row for pair in pairs])
        for place, part in found.ratings.items():
            hits, total = 0.0, 0
            for at, pair in enumerate(pairs):
                scores = [part.read(2 * (start + at) + side).score for side in (0, 1)]
                if pair.is_identical or scores[0] is None or scores[1] is None:
                    continue
                hits += EQUAL if scores[0] == scores[1] else scores[0] > scores[1]
                total += 1
            if total:
                yield Measure(
                    model=place,
                    dataset=one.place,
                    name="pair_accuracy",
                    estimate=measures.share(hits, total),
                    n=total,
                    unit="pairs",
                    beside=beside,
                    beside_words=words,
                )
        start += len(pairs)


def _by_length(taken: Taken, rows: list[Row]) -> tuple[Estimate | None, str]:
    """Return how often length alone finds the preferred answer.

    Whether longer or shorter is better is what the whole dataset says. Equal lengths
    are guessed: half of them count.
    """
    apart = [
        len(row.chosen) - len(row.rejected)
        for row in rows
        if row.chosen.strip() != row.rejected.strip()
    ]
    if not apart:
        return None, ""
    facts = taken.card.pairs
    longer = (
        facts.chosen_longer >= facts.rejected_longer
        if facts is not None
        else sum(one > 0 for one in apart) >= sum(one < 0 for one in apart)
    )
    hits = (
        sum((one > 0) == longer for one in apart if one)
        + sum(not one for one in apart) / 2
    )
    low, high = wilson(hits, len(apart))
    found = Estimate(value=hits / len(apart), low=low, high=high)
    return found, f"pick the {'longer' if longer else 'shorter'}"


def identical_rows(found: Found) -> dict[str, str]:
    """Return which rows of each dataset have two equal answers, in words."""
    said = {}
    for one in found.taken:
        if one.card.kind != PREFERENCES or not found.ratings:
            continue
        rows = [pair.row.number + 1 for pair in one.pairs() if pair.is_identical]
        if rows:
            named = ", ".join(f"{row:,}" for row in rows[:NAMED_AT_MOST])
            more = ", …" if len(rows) > NAMED_AT_MOST else ""
            noun = "row" if len(rows) == 1 else "rows"
            said[one.name] = f"{len(rows):,} {noun} ({named}{more}), left out"
    return said
