"""What no row of a dataset holds: every vote as it was given, and what became of it."""

from typing import Any, NamedTuple

from runspec.labels import LabeledPair, PairVote

from trainer.exporting.deciding import Decision, is_counted
from trainer.exporting.tools import Named

Line = dict[str, Any]


class Row(NamedTuple):
    """Where a pair is in the dataset."""

    split: str
    number: int
    """From 0."""


def whole(
    pair: LabeledPair, decision: Decision, row: Row | None, prompt_id: str, named: Named
) -> Line:
    """Return a comparison with all its votes, and which row it is or why none."""
    return {
        "pair_id": str(pair.id),
        "prompt_id": prompt_id,
        "row": row and row._asdict(),
        "why_not": decision.why_not or None,
        "chosen": decision.chosen,
        "is_adjudicated": decision.is_adjudicated,
        "n": decision.tally.num_votes,
        "counts": decision.tally._asdict(),
        "p_a": decision.tally.share_a if decision.tally.num_votes else None,
        "p_chosen": decision.chosen_share,
        "strength": decision.strength,
        **pair.model_dump(
            mode="json",
            include={"prompt", "answer_a", "answer_b", "gold", "adjudicated"},
        ),
        "category": pair.category,
        "flags": list(pair.flags),
        "votes": [_vote(vote, named) for vote in pair.votes],
    }


def _vote(vote: PairVote, named: Named) -> Line:
    """Return all of a vote; `is_counted` says whether it decided with others."""
    who = vote.annotator if vote.is_ai else named(vote.annotator)
    told = vote.model_dump(mode="json", exclude={"annotator"})
    return {"annotator": who, "is_counted": is_counted(vote), **told}


def tie(pair: LabeledPair, decision: Decision) -> Line:
    """Return a pair of which people prefer neither answer."""
    return {
        "pair_id": str(pair.id),
        "prompt": pair.prompt,
        "answer_a": pair.answer_a.text,
        "answer_b": pair.answer_b.text,
        "model_a": pair.answer_a.model,
        "model_b": pair.answer_b.model,
        "counts": decision.tally._asdict(),
        "adjudicated": pair.adjudicated if decision.is_adjudicated else "",
    }
