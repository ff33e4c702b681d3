"""Simulated labelers whose habits are known, to try labeling and its statistics on.

What a campaign measures of them can then be held against the truth.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tinyworld.preferences import Pair

Side = Literal["a", "b"]
Choice = Literal["a", "b", "tie"]


class SimulatedVote(NamedTuple):
    """What a labeler said of answers A and B, and which of them stood on the left."""

    choice: Choice
    left: Side


class ShownPair(NamedTuple):
    """A pair as a campaign has it: nobody can tell the better answer by its letter."""

    prompt: str
    answer_a: str
    answer_b: str
    better: Side


@dataclass(frozen=True)
class Labeler:
    """A person who is right to a known degree.

    Of all pairs, `tie_rate` are called a tie; of the others, `position_bias` go to the
    side it leans to, unread; of what is read, `error_rate` go to the worse answer.
    Of the votes that name a winner, the left side then wins (1 + `position_bias`) / 2
    where sides are drawn by a coin, and the better answer loses
    |`position_bias`| / 2 + (1 - |`position_bias`|) `error_rate`.
    """

    name: str
    error_rate: float = 0.1
    """0 to 1; one half is to guess."""
    position_bias: float = 0.0
    """-1 to 1: below 0 it leans to the right."""
    tie_rate: float = 0.05
    """0 to 1."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no rate.

        Raises:
            ValueError: a rate is out of its bounds.
        """
        for rate in (self.error_rate, self.tie_rate, abs(self.position_bias)):
            if not 0 <= rate <= 1:
                raise ValueError(f"{rate} is no share: rates are from 0 to 1")

    def vote(
        self,
        item: str | int,
        better: Choice,
        *,
        left: Side | None = None,
        round_number: int = 0,
    ) -> SimulatedVote:
        """Return the vote on an item, the same whatever was voted on before.

        `better` says which answer is; of a "tie" only who errs or leans names a winner.
        `left` is drawn unless a campaign has placed the answers. A later round is a
        vote on the same item again.
        """
        draw = random.Random(f"{self.seed} {self.name} {item} {round_number}")
        drawn: Side = draw.choice(("a", "b"))
        left = left or drawn
        # All chances are drawn, so that one rate does not change what others do.
        ties, leans, errs, picks = (draw.random() for _ in range(4))
        if ties < self.tie_rate:
            return SimulatedVote("tie", left)
        if leans < abs(self.position_bias):
            return SimulatedVote(left if self.position_bias > 0 else _other(left), left)
        if better == "tie":
            guess: Side = "a" if picks < 0.5 else "b"
            return SimulatedVote(guess if errs < self.error_rate else "tie", left)
        return SimulatedVote(_other(better) if errs < self.error_rate else better, left)


def shown(pair: Pair, *, seed: int = 0) -> ShownPair:
    """Give the answers of a pair letters by a coin, the same for the same seed."""
    coin = random.Random(f"{seed} {pair.prompt} {pair.chosen} {pair.rejected}")
    if coin.random() < 0.5:
        return ShownPair(pair.prompt, pair.chosen, pair.rejected, "a")
    return ShownPair(pair.prompt, pair.rejected, pair.chosen, "b")


def voted(
    pairs: Iterable[Pair], labelers: Sequence[Labeler], *, seed: int = 0
) -> list[Pair]:
    """Return pairs as most labelers see them: those most err on with answers swapped.

    Pairs on which they are divided are left out. The same seed gives the same votes.
    """
    found = []
    for number, pair in enumerate(pairs):
        item = f"{seed} {number}"
        votes = Counter(one.vote(item, "a").choice for one in labelers)
        if votes["a"] > votes["b"]:
            found.append(pair)
        elif votes["b"] > votes["a"]:
            found.append(replace(pair, chosen=pair.rejected, rejected=pair.chosen))
    return found


def _other(side: Side) -> Side:
    return "b" if side == "a" else "a"
