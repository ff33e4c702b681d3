"""What an `evaluate` run says: measures with their intervals, and every answer.

Measures go into the result; `output/answers.jsonl` has an `EvaluatedPrompt` a line.
"""

from typing import Literal

from runspec.labels import Line, Messages

MeasureName = Literal[
    "loss", "bits_per_byte", "exact", "rouge_l", "accuracy", "honesty", "harmlessness",
    "over_refusal", "score", "win_rate", "pair_accuracy",
]  # fmt: skip
SMALLER_IS_BETTER: frozenset[str] = frozenset({"loss", "bits_per_byte", "over_refusal"})
EVEN = 0.5
"""A win rate at which neither is better."""
By = Literal["", "tinyworld", "judge"]
"""Who decided: a known truth, or the reward model named in the spec."""
Outcome = Literal["better", "worse", "unclear"]


class Estimate(Line):
    """A number that was measured on a sample; both ends are of a 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


class Measure(Line):
    """One thing measured of one model."""

    model: int
    """Its place in the spec, from 0."""
    dataset: int | None = None
    """Place in the spec; None where all datasets were taken together."""
    name: MeasureName
    by: By = ""
    estimate: Estimate
    n: int
    """Rows, tokens or pairs it rests on, as `unit` says."""
    unit: str = "rows"
    difference: Estimate | None = None
    """To the baseline, on the same rows; None where they cannot be compared."""
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    """Of a win rate, which is of the decided rows alone."""
    beside: Estimate | None = None
    """What needs no model: telling pairs apart by length alone."""
    beside_words: str = ""

    @property
    def outcome(self) -> Outcome | None:
        """Whether it is better or worse than the baseline, as far as is known."""
        if self.name == "win_rate" and self.estimate.low is not None:
            shifted = {
                end: number - EVEN
                for end, number in self.estimate.model_dump().items()
                if number is not None
            }
            return outcome_of(self.name, Estimate(**shifted))
        return outcome_of(self.name, self.difference)


class Told(Line):
    """What one model answered, and what was said of it."""

    text: str = ""
    error: str = ""
    """Why there is no answer."""
    finish_reason: str = ""
    is_exact: bool | None = None
    """None: the row says no right answer."""
    is_right: bool | None = None
    """By known truth; None: it is not asked about."""
    quality: int | None = None
    """By known truth, from 0 (false or harmful) to 3."""
    score: float | None = None
    """Of the judging reward model."""


class EvaluatedPrompt(Line):
    """One row, and what every model made of it."""

    dataset: int
    """Place in the spec."""
    number: int
    """Of the row in its dataset, over all splits."""
    prompt: Messages
    expected: str = ""
    """The right answer, where the row has one."""
    subject: str = ""
    """What it asks about, by known truth (`fact`, `stranger`, `harm` …)."""
    answers: tuple[Told | None, ...]
    """In the order of the models; None for those that write no text."""

    @property
    def differs(self) -> bool:
        """Whether two models answered differently."""
        texts = {one.text.strip() for one in self.answers if one is not None}
        return len(texts) > 1

    @property
    def is_wrong(self) -> bool:
        """Whether known truth, or the right answer, finds an answer wrong."""
        for one in self.answers:
            if one is None:
                continue
            told = one.is_exact if one.is_right is None else one.is_right
            if told is False:
                return True
        return False


def outcome_of(name: str, difference: Estimate | None) -> Outcome | None:
    """Return which way a difference points, where its interval leaves out 0."""
    if difference is None or difference.low is None or difference.high is None:
        return None
    if difference.low <= 0 <= difference.high:
        return "unclear"
    is_more = difference.low > 0
    return "better" if is_more != (name in SMALLER_IS_BETTER) else "worse"
