"""A campaign on its way out: one line a comparison, with all that was said of it.

Read with a cursor that the database keeps, so that a million votes take no memory.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.db.models import Prefetch
from runspec.labels import LabeledPair, PairAnswer, PairVote

from trivium.campaigns.models import Campaign, Flag, Item
from trivium.comparisons.models import Vote
from trivium.playground.models import Generation

AT_ONCE = 500


def write_pairs(campaign: Campaign, path: Path) -> int:
    """Write the comparisons of a campaign as `LabeledPair` lines; return how many.

    Withdrawn ones are left out.
    """
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for pair in labeled_pairs(campaign):
            file.write(pair.model_dump_json() + "\n")
            count += 1
    return count


def labeled_pairs(
    campaign: Campaign, numbers: Sequence[int] | None = None
) -> Iterator[LabeledPair]:
    """Yield comparisons with their votes, in their order; only some, where named."""
    votes = Vote.objects.select_related("labeler", "judge").order_by("pk")
    items = campaign.items.filter(is_withdrawn=False)
    if numbers is not None:
        items = items.filter(pk__in=numbers)
    rows = (
        items.select_related("comparison__answer_a", "comparison__answer_b")
        .prefetch_related(
            Prefetch("comparison__votes", votes, to_attr="every_vote"),
            Prefetch("flags", Flag.objects.order_by("pk"), to_attr="every_flag"),
        )
        .order_by("pk")
    )
    yield from map(labeled, rows.iterator(chunk_size=AT_ONCE))


def labeled(item: Item) -> LabeledPair:
    """Return one comparison as a line; its votes and flags were fetched before."""
    compared: Any = item.comparison
    flags: Any = getattr(item, "every_flag", ())
    return LabeledPair(
        id=item.pk,
        prompt=compared.prompt,
        answer_a=_answer(compared.answer_a),
        answer_b=_answer(compared.answer_b),
        votes=tuple(_vote(vote) for vote in compared.every_vote),
        gold=item.gold,
        adjudicated=item.adjudicated,
        category=item.category,
        flags=tuple(flag.reason for flag in flags),
    )


def _answer(generation: Generation) -> PairAnswer:
    receipt = generation.receipt or {}
    sampling = receipt.get("sampling") or generation.sampling or {}
    return PairAnswer(
        model=generation.choice_id,
        text=generation.text,
        weights_sha256=receipt.get("weights_sha256", ""),
        template_sha256=receipt.get("template_sha256", ""),
        seed=sampling.get("seed"),
        sampling=sampling,
        receipt=generation.receipt,
    )


def _vote(vote: Vote) -> PairVote:
    details = vote.details
    acceptable = {
        side: details[f"acceptable_{side}"]
        for side in ("a", "b")
        if details.get(f"acceptable_{side}") is not None
    }
    return PairVote.model_validate(
        {
            "id": vote.pk,
            "annotator": vote.voter,
            "is_ai": vote.judge_id is not None,
            "choice": vote.choice,
            "strength": vote.strength,
            "axes": details.get("axes", {}),
            "acceptable": acceptable,
            "reasons": details.get("reasons", ()),
            "note": details.get("note", ""),
            "shown_left": vote.shown_left,
            "round": vote.round,
            "ms_active": vote.ms_active,
            "guideline": vote.guideline,
            "created": vote.created,
            "undone": vote.undone,
        }
    )
