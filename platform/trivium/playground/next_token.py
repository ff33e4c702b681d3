"""The distribution behind each token of an answer: what else could have come.

Everything here is of the model's own distribution, before temperature and penalties;
the page applies a temperature to it while one looks.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runspec.serving import (
    MAX_TOP_LOGPROBS,
    Candidate,
    NextRequest,
    NextTokens,
    TokenTold,
)

from trivium.playground.filling import ask
from trivium.serving.choices import ModelChoice

SHOWN = MAX_TOP_LOGPROBS
KNOWN = 200
"""Tokens asked for: those not shown make the rest's share exact further down."""
PROBABILITY_STEPS = (0.9, 0.5, 0.2, 0.05)
"""A token at least this likely is in the first, second… step; the rest in the fifth."""
ENTROPY_STEPS = (0.5, 1.5, 3.0, 4.5)
"""The same for nats, from certain to undecided."""
MAX_SURPRISE = 8.0
"""Nats; a bar of the strip is full here (one in 3,000)."""
STRIP_HEIGHT, STRIP_STEP = 40, 4


class Told(NamedTuple):
    """One token of an answer, as the page shows it."""

    at: int
    id: int
    text: str
    share: float
    entropy: float
    likely: int
    """Step of its probability, 0 likely to 4 unlikely."""
    decided: int
    """Step of the entropy, 0 decided to 4 undecided."""
    surprise: float
    """Share of `MAX_SURPRISE`."""


class Row(NamedTuple):
    """One candidate, and how its bar is drawn."""

    id: int
    text: str
    logprob: float
    share: float
    is_chosen: bool
    rank: int
    """From 1; 0 where it is beyond what was asked for."""

    @property
    def width(self) -> str:
        """How long its bar is, of a hundred."""
        return f"{100 * self.share:.3f}"


@dataclass(frozen=True)
class Look:
    """What could have come at one place."""

    token: Told
    rows: list[Row]
    """The likeliest, and the chosen one where it is none of them."""
    hidden: list[float]
    """Logprobs that are known beside those of the rows."""
    last: float
    """The least logprob that was told: no token of the rest is likelier."""
    rest: float
    """Share of all tokens whose logprobs are not known."""
    entropy: float

    @property
    def others(self) -> float:
        """Share of all tokens without a row."""
        return max(0.0, 1.0 - sum(row.share for row in self.rows))

    @property
    def others_width(self) -> str:
        """How long their bar is, of a hundred."""
        return f"{100 * self.others:.3f}"

    @property
    def num_known(self) -> int:
        """How many tokens' logprobs are known."""
        return len(self.rows) + len(self.hidden)


class Bar(NamedTuple):
    """One token in the strip of surprise, as it is drawn."""

    token: Told
    x: int
    y: str
    height: str


class Summary(NamedTuple):
    """How sure a model was of a whole answer."""

    num_tokens: int
    perplexity: float
    entropy: float
    surest: Told
    boldest: Told


def as_told(tokens: Iterable[TokenTold]) -> list[Told]:
    """Return tokens with what the page colours them by."""
    return [
        Told(
            at=at,
            id=token.id,
            text=shown_text(token),
            share=math.exp(min(0.0, token.logprob)),
            entropy=token.entropy,
            likely=step_down(math.exp(min(0.0, token.logprob)), PROBABILITY_STEPS),
            decided=step_up(token.entropy, ENTROPY_STEPS),
            surprise=min(1.0, max(0.0, -token.logprob) / MAX_SURPRISE),
        )
        for at, token in enumerate(tokens)
    ]


def shown_text(token: TokenTold) -> str:
    """Return a token's text; of a part of a character, its bytes."""
    if token.bytes and "\N{REPLACEMENT CHARACTER}" in token.text:
        return "".join(f"⟨{byte:02X}⟩" for byte in token.bytes)
    return token.text


def step_down(value: float, steps: Sequence[float]) -> int:
    """Return how many steps a value lies below."""
    return sum(value < step for step in steps)


def step_up(value: float, steps: Sequence[float]) -> int:
    """Return how many steps a value has reached."""
    return sum(value >= step for step in steps)


def summary_of(tokens: Sequence[Told]) -> Summary | None:
    """Return how sure a model was; None where it said nothing."""
    if not tokens:
        return None
    surprise = -sum(math.log(max(token.share, 1e-30)) for token in tokens)
    return Summary(
        num_tokens=len(tokens),
        perplexity=math.exp(surprise / len(tokens)),
        entropy=sum(token.entropy for token in tokens) / len(tokens),
        surest=max(tokens, key=lambda token: token.share),
        boldest=min(tokens, key=lambda token: token.share),
    )


def look_at(choice: ModelChoice, ids_before: Sequence[int], token: Told) -> Look:
    """Ask a model what could have come instead of a token.

    Raises:
        ServingError: there is no node, or it refused.
    """
    request = NextRequest(model=choice.ref, ids=tuple(ids_before), top=KNOWN)
    return as_look(token, ask(choice, "/next", request))


def as_look(token: Told, found: NextTokens) -> Look:
    """Return what could have come, as the page shows it."""
    rows = [
        as_row(one, rank, is_chosen=one.id == token.id)
        for rank, one in enumerate(found.candidates[:SHOWN], start=1)
    ]
    hidden = list(found.candidates[SHOWN:])
    if not any(row.is_chosen for row in rows):
        chosen = next((one for one in hidden if one.id == token.id), None)
        rank = hidden.index(chosen) + SHOWN + 1 if chosen else 0
        known = chosen or Candidate(
            id=token.id, text=token.text, logprob=math.log(max(token.share, 1e-30))
        )
        rows.append(as_row(known, rank, is_chosen=True))
        hidden = [one for one in hidden if one.id != token.id]
    known_share = sum(row.share for row in rows) + sum(
        math.exp(one.logprob) for one in hidden
    )
    return Look(
        token=token,
        rows=rows,
        hidden=[round(one.logprob, 4) for one in hidden],
        last=round(found.candidates[-1].logprob, 4),
        rest=max(0.0, 1.0 - known_share),
        entropy=found.entropy,
    )


def as_row(candidate: Candidate, rank: int, *, is_chosen: bool) -> Row:
    """Return one candidate with its share."""
    return Row(
        id=candidate.id,
        text=candidate.text,
        logprob=candidate.logprob,
        share=math.exp(min(0.0, candidate.logprob)),
        is_chosen=is_chosen,
        rank=rank,
    )


def strip_of(tokens: Sequence[Told]) -> list[Bar]:
    """Return how surprising each token was, as bars."""
    bars = []
    for token in tokens:
        height = max(0.8, STRIP_HEIGHT * token.surprise)
        x = token.at * STRIP_STEP
        bars.append(Bar(token, x, f"{STRIP_HEIGHT - height:.2f}", f"{height:.2f}"))
    return bars
