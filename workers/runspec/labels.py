"""What labels are, between the web and the workers: questions, answers, votes.

A campaign's comparisons leave the database as one JSON object a line, each a
`LabeledPair`; what a `generate` run made comes back as `AnsweredPrompt` lines, and what
a judge said as `Verdict` lines.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runspec.serving import ModelRef, Receipt, Sampling, Timings

Choice = Literal["a", "b", "tie", "both_bad"]
Side = Literal["a", "b"]
Preference = Literal["a", "b", "tie"]
"""What a question about one axis is answered with."""
Messages = list[dict[str, Any]]
"""Turns, each with `role` and `content`."""
MAX_STRENGTH = 3
"""1: slightly better, 2: clearly, 3: much."""


class Line(BaseModel):
    """One line of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Line):
    """Where a model that answers is to be found: what a `choice` reference becomes."""

    id: str
    """Of the choice, as programs name it."""
    title: str
    model: ModelRef | None = None
    is_chat: bool = False
    """Whether it was taught to converse; others go on with bare text."""
    is_scorer: bool = False
    """Whether it rates texts instead of writing any."""
    url: str = ""
    """Of an endpoint, up to and with its version; its key is in the environment."""
    key_variable: str = ""
    """The environment variable that holds the endpoint's key; empty: it needs none."""
    remote_id: str = ""
    """What the endpoint calls the model."""


class Answer(Line):
    """What one of the answerers wrote."""

    text: str
    finish_reason: str = ""
    sampling: Sampling | None = None
    """None: the answer was brought in, not made here."""
    token_ids: tuple[int, ...] = ()
    receipt: Receipt | None = None
    timings: Timings | None = None


class AnsweredPrompt(Line):
    """One prompt, and what came back."""

    number: int
    """Of the row in the dataset, from 0."""
    prompt: Messages | str
    """Messages, or a text that the answers go on with."""
    category: str = ""
    """Of harmful content, where the dataset says one."""
    answers: tuple[Answer | None, ...]
    """In the order of the answerers; None where one failed."""
    errors: tuple[str, ...] = ()
    """Why, for those that failed."""
    preferred: Preference | None = None
    """What the dataset says was preferred, of pairs that were brought in."""


class PairAnswer(Line):
    """One side of a comparison on its way out."""

    model: str
    """Id of what answered; empty for answers that were brought in."""
    text: str
    weights_sha256: str = ""
    template_sha256: str = ""
    seed: int | None = None
    sampling: dict[str, Any] = {}
    receipt: dict[str, Any] | None = None


class PairVote(Line):
    """One vote on its way out."""

    id: int
    annotator: str
    """The labeler's name, or a pseudonym that is the same in the whole export."""
    is_ai: bool = False
    choice: Choice
    strength: int | None = None
    axes: dict[str, Preference] = {}
    acceptable: dict[Side, bool] = {}
    reasons: tuple[str, ...] = ()
    note: str = ""
    shown_left: Side
    round: int = 0
    """1: a planned repeat with the sides swapped, which measures consistency."""
    ms_active: int
    guideline: int = 0
    """Version of the guidelines that stood beside the task."""
    created: datetime
    undone: datetime | None = None


class LabeledPair(Line):
    """One comparison with all that was said of it."""

    id: int
    prompt: Messages | str
    answer_a: PairAnswer
    answer_b: PairAnswer
    votes: tuple[PairVote, ...] = ()
    gold: str = ""
    """The right choice, where it is a gold item."""
    adjudicated: str = ""
    """What a second look decided; the votes stay as they were."""
    category: str = ""
    flags: tuple[str, ...] = ()


class Verdict(Line):
    """What a judge said of one comparison, once in each order."""

    id: int
    """Of the comparison."""
    a_left: Preference | None = None
    """With answer A first; None where the judge gave no verdict."""
    b_left: Preference | None = None
    margin: float | None = None
    """Score of answer A beyond that of answer B, where a reward model judged."""
    texts: tuple[str, str] = ("", "")
    """What it wrote, in both orders."""
    errors: tuple[str, ...] = ()
    """Why it could not be asked, where it could not."""
    rendered_sha256: str = Field("", max_length=64)
    """Of what it was shown in both orders."""
