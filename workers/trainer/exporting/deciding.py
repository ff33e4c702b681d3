"""What the votes on one comparison decide, or why they decide nothing.

Only standing votes of people in the first round count: a vote taken back, a planned
repeat and an AI's vote are in the sidecar alone. Gold items are counted like others.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runspec import ExportSpec
from runspec.labels import Choice, LabeledPair, PairVote, Side

REASONS = {
    "no prompt": "there is no prompt",
    "identical answers": "both answers are the same text, but for blanks at their ends",
    "no votes": "nobody voted",
    "AI votes only": "only an AI voted",
    "too few votes": "fewer people voted than min_votes asks for",
    "no preference": "as many votes are for one answer as for the other",
    "weak majority": "the majority is not larger than min_share",
}
"""Why a comparison is no row, the first that is true."""
CHOICES: tuple[Choice, ...] = ("a", "b", "tie", "both_bad")
SIDES: dict[str, Side] = {"a": "a", "b": "b"}


class Tally(NamedTuple):
    """Counted votes by choice, in the order of `CHOICES`."""

    a: int = 0
    b: int = 0
    tie: int = 0
    both_bad: int = 0

    @property
    def num_votes(self) -> int:
        """How many people voted."""
        return sum(self)

    @property
    def share_a(self) -> float:
        """Share of the votes for answer A; those for neither count half for each."""
        return (2 * self.a + self.tie + self.both_bad) / (2 * self.num_votes)


@dataclass(frozen=True)
class Decision:
    """What came of one comparison: `chosen`, or the reason why nothing is."""

    votes: Sequence[PairVote]
    """Those that count."""
    tally: Tally
    chosen: Side | None = None
    why_not: str = ""
    """A key of `REASONS`; empty where an answer was chosen."""
    is_adjudicated: bool = False
    """Whether a second look decided, not the votes."""

    @property
    def rejected(self) -> Side | None:
        """The other answer than the chosen one."""
        return None if self.chosen is None else other(self.chosen)

    @property
    def has_enough(self) -> bool:
        """Whether the comparison is usable, decided or not."""
        return self.why_not in {"", "no preference", "weak majority"}

    @property
    def chosen_share(self) -> float | None:
        """Share of the votes for the chosen answer: below ½ where adjudicated so."""
        if self.chosen is None:
            return None
        share = self.tally.share_a
        return share if self.chosen == "a" else 1 - share

    @property
    def strength(self) -> float | None:
        """Mean strength towards the chosen answer, -3 to 3; None where nobody said any.

        A vote for the other answer counts negative, one for neither counts 0.
        """
        sides = [vote for vote in self.votes if vote.choice in {"a", "b"}]
        said = [vote for vote in sides if vote.strength is not None]
        if self.chosen is None or not said:
            return None
        towards = sum(
            (vote.strength or 0) * (1 if vote.choice == self.chosen else -1)
            for vote in said
        )
        return towards / (len(said) + len(self.votes) - len(sides))


def other(side: Side) -> Side:
    """Return the other side."""
    return "b" if side == "a" else "a"


def is_counted(vote: PairVote) -> bool:
    """Whether a vote is one of those that decide."""
    return vote.undone is None and vote.round == 0 and not vote.is_ai


def decide(pair: LabeledPair, spec: ExportSpec) -> Decision:
    """Say which answer people prefer, or why that is not known."""
    votes = [vote for vote in pair.votes if is_counted(vote)]
    choices = Counter(vote.choice for vote in votes)
    tally = Tally(*(choices[choice] for choice in CHOICES))
    if reason := _unusable(pair, tally, spec):
        return Decision(votes, tally, why_not=reason)
    if spec.uses_adjudicated and pair.adjudicated:
        return _adjudicated(pair.adjudicated, votes, tally)
    # Integers: an exact half must never be decided by rounding.
    if tally.a == tally.b:
        return Decision(votes, tally, why_not="no preference")
    chosen: Side = "a" if tally.a > tally.b else "b"
    majority = max(tally.share_a, 1 - tally.share_a)
    if majority <= spec.min_share:
        return Decision(votes, tally, why_not="weak majority")
    return Decision(votes, tally, chosen)


def _adjudicated(decided: str, votes: Sequence[PairVote], tally: Tally) -> Decision:
    """Follow a second look, whatever the votes say."""
    chosen = SIDES.get(decided)
    reason = "" if chosen else "no preference"
    return Decision(votes, tally, chosen, reason, is_adjudicated=True)


def _unusable(pair: LabeledPair, tally: Tally, spec: ExportSpec) -> str:
    if not pair.prompt:
        return "no prompt"
    if pair.answer_a.text.strip() == pair.answer_b.text.strip():
        return "identical answers"
    if not tally.num_votes:
        is_judged = any(v.is_ai and v.undone is None for v in pair.votes)
        return "AI votes only" if is_judged else "no votes"
    return "too few votes" if tally.num_votes < spec.min_votes else ""


def is_desirable(pair: LabeledPair, decision: Decision, side: Side) -> bool | None:
    """Say whether an answer is good by itself; None where nothing says so.

    What most people answered when asked whether it is acceptable; else no, where both
    were called bad; else whether it is the preferred one of the two.
    """
    said = [vote.acceptable[side] for vote in decision.votes if side in vote.acceptable]
    yes = sum(said)
    if 2 * yes != len(said):
        return 2 * yes > len(said)
    if _are_both_bad(pair, decision):
        return False
    return None if decision.chosen is None else decision.chosen == side


def _are_both_bad(pair: LabeledPair, decision: Decision) -> bool:
    """Whether a second look, or more than half of the votes, say so."""
    if decision.is_adjudicated:
        return pair.adjudicated == "both_bad"
    return 2 * decision.tally.both_bad > decision.tally.num_votes
