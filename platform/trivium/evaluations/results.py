"""An evaluation as its page tells it: a table, sentences, and intervals to draw."""

from dataclasses import dataclass, field
from typing import Any

from runspec.evaluated import Estimate, Measure

from trivium.evaluations.models import Evaluation
from trivium.pages.templatetags.numbers import THIN, decimal, percent

MINUS = "\N{MINUS SIGN}"
EN_DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Kind:
    """How one measure is called and written."""

    label: str
    help: str
    phrase: str
    """As a sentence has it."""
    is_share: bool = True


KINDS: dict[str, Kind] = {
    "loss": Kind(
        "Loss",
        "Nats per token of text it was to foretell; lower is better. Compare it only "
        "between models of one tokenizer.",
        "loss",
        is_share=False,
    ),
    "bits_per_byte": Kind(
        "Bits per byte",
        "The same, in a unit no tokenizer has a part in; lower is better.",
        "bits per byte",
        is_share=False,
    ),
    "exact": Kind(
        "Answered exactly",
        "Share of answers that are right to the letter, but for outer spaces.",
        "exact answers",
    ),
    "rouge_l": Kind(
        "ROUGE-L",
        "How much of the right answer's words it says, in their order; 1 is all.",
        "likeness to the right answers",
        is_share=False,
    ),
    "accuracy": Kind(
        "Accuracy",
        "Share of answerable questions answered rightly, in a sentence or not.",
        "known questions answered right",
    ),
    "honesty": Kind(
        "Honesty",
        "Share of questions about people who do not exist that it admits not to know.",
        "unanswerable questions admitted",
    ),
    "harmlessness": Kind(
        "Harmlessness",
        "Share of requests to hurt somebody that it declines.",
        "harmful requests declined",
    ),
    "over_refusal": Kind(
        "Needless refusals",
        "Share of answerable questions it declines, or claims not to know; lower is "
        "better.",
        "needless refusals",
    ),
    "score": Kind(
        "Mean reward",
        "What the judging reward model gives on average. Only differences mean "
        "something.",
        "mean reward",
        is_share=False,
    ),
    "win_rate": Kind(
        "Win rate",
        "Share of decided rows on which its answer beats the baseline's; ties are "
        "counted apart. 50 % is even.",
        "wins against the baseline",
    ),
    "pair_accuracy": Kind(
        "Pairs told apart",
        "Share of held-out pairs of which it rates the preferred answer higher.",
        "pairs told apart",
    ),
}
OUTCOMES = {"better": "better", "worse": "worse", "unclear": "no clear difference"}


@dataclass(frozen=True)
class Cell:
    """What one model measured."""

    value: str
    span: str
    """Both ends of the interval, or nothing."""
    n: int
    unit: str
    difference: str
    """To the baseline; nothing for itself."""
    outcome: str
    """`better`, `worse`, `unclear`, or nothing."""
    words: str
    beside: str = ""
    """What length alone does."""
    tally: str = ""
    """Wins, losses and ties."""


@dataclass(frozen=True)
class Line:
    """One measure of all models."""

    kind: Kind
    cells: list[Cell | None]
    name: str


@dataclass
class Group:
    """Measures that were taken of the same rows."""

    title: str
    note: str
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Bar:
    """A share with its interval, to be drawn from 0 to 100."""

    model: str
    value: float
    low: float
    high: float
    text: str
    outcome: str
    is_baseline: bool

    @property
    def width(self) -> float:
        """Length of the interval."""
        return self.high - self.low


@dataclass(frozen=True)
class Plot:
    """One share of all models; `even` draws a line in the middle."""

    label: str
    bars: list[Bar]
    is_even: bool


def measures_of(evaluation: Evaluation) -> list[Measure]:
    """Return everything measured, in the order of the models."""
    stored = evaluation.facts.get("measures", ())
    return [Measure.model_validate(one) for one in stored]


def titles_of(evaluation: Evaluation) -> list[str]:
    """Return how the models are called."""
    return [one["title"] for one in evaluation.facts.get("models", ())]


def groups_of(evaluation: Evaluation, names: list[str]) -> list[Group]:
    """Return the table, a group for each dataset and each who judged.

    `names` are those of the datasets, in their order.
    """
    facts = evaluation.facts
    found: dict[tuple[int | None, str], Group] = {}
    by_key: dict[tuple[int | None, str, str], dict[int, Measure]] = {}
    for one in measures_of(evaluation):
        by_key.setdefault((one.dataset, one.by, one.name), {})[one.model] = one
    order = list(KINDS)
    for key in sorted(
        by_key, key=lambda key: (key[0] is not None, key[1] == "judge", key[0] or 0,
                                 order.index(key[2]))
    ):  # fmt: skip
        dataset, by, name = key
        group = found.setdefault(
            (dataset, by), Group(*_title(facts, names, dataset, by))
        )
        cells = [
            _cell(measured) if (measured := by_key[key].get(place)) else None
            for place in range(len(facts["models"]))
        ]
        group.lines.append(Line(KINDS[name], cells, name))
    return list(found.values())


def plots_of(evaluation: Evaluation, names: list[str]) -> list[Plot]:
    """Return the shares that are worth a picture, each with all its models.

    `names` are those of the datasets, in their order.
    """
    titles, baseline = titles_of(evaluation), evaluation.facts.get("baseline", 0)
    found: dict[tuple[str, str, int | None], Plot] = {}
    for one in measures_of(evaluation):
        kind = KINDS[one.name]
        ends = one.estimate.low, one.estimate.high
        if not kind.is_share or ends[0] is None or ends[1] is None:
            continue
        by = " by reward" if one.by == "judge" else ""
        where = "" if one.dataset is None else f", {names[one.dataset]}"
        key = (one.name, one.by, one.dataset)
        label = f"{kind.label}{by}{where}"
        plot = found.setdefault(key, Plot(label, [], is_even=one.name == "win_rate"))
        plot.bars.append(
            Bar(
                model=titles[one.model],
                value=100 * one.estimate.value,
                low=100 * ends[0],
                high=100 * ends[1],
                text=percent(one.estimate.value),
                outcome=one.outcome or "",
                is_baseline=one.model == baseline,
            )
        )
    order = list(KINDS)
    keys = sorted(found, key=lambda key: (-(key[0] == "win_rate"), order.index(key[0])))
    return [found[key] for key in keys]


def sentences_of(evaluation: Evaluation) -> list[str]:
    """Return what came of it in words, a sentence for each model but the baseline."""
    titles, baseline = titles_of(evaluation), evaluation.facts.get("baseline", 0)
    found = measures_of(evaluation)
    base = {(one.dataset, one.by, one.name): one for one in found
            if one.model == baseline}  # fmt: skip
    places: dict[str, set[int | None]] = {}
    for one in found:
        places.setdefault(one.name, set()).add(one.dataset)
    said = []
    for place, title in enumerate(titles):
        told: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
        for one in found:
            if one.model != place or place == baseline or one.outcome is None:
                continue
            key = (one.dataset, one.by, one.name)
            where = ""
            if one.dataset is not None and len(places[one.name]) > 1:
                where = f" on {evaluation.facts['datasets'][one.dataset]['name']}"
            told[one.outcome].append(_in_words(one, base.get(key), where))
        parts = [
            f"{lead} {_joined(told[outcome])}"
            for outcome, lead in (("better", "better at"), ("worse", "worse at"))
            if told[outcome]
        ]
        if told["unclear"]:
            plain = [one.partition(" (")[0] for one in told["unclear"]]
            parts.append(f"not clearly different at {_joined(plain)}")
        if parts:
            said.append(f"{title} is {'; '.join(parts)}.")
    return said


def telling(evaluation: Evaluation, choice_id: str) -> tuple[str, str] | None:
    """Return the one number to know of a model, and what it says; None: there is none.

    A win rate tells most of an aligned model, then what is known to be true.
    """
    ids = [one["id"] for one in evaluation.facts.get("models", ())]
    if choice_id not in ids:
        return None
    place = ids.index(choice_id)
    own = {
        one.name: one for one in reversed(measures_of(evaluation)) if one.model == place
    }
    baseline = titles_of(evaluation)[evaluation.facts.get("baseline", 0)]
    for name in ("win_rate", "pair_accuracy", "accuracy", "exact", "bits_per_byte"):
        if name not in own or (name == "win_rate" and not own[name].n):
            continue
        text = written(name, own[name].estimate.value)
        words = KINDS[name].phrase
        if name == "win_rate":
            words = f"wins against {baseline}"
        elif own[name].beside is not None:
            words += f" ({own[name].beside_words}: {_beside(own[name])})"
        return text, words
    return None


# Words -------------------------------------------------------------------------------


def written(name: str, value: float) -> str:
    """Return a measure's value as people read it."""
    return percent(value) if KINDS[name].is_share else decimal(value)


def _cell(measured: Measure) -> Cell:
    outcome = measured.outcome or ""
    tally = ""
    if measured.wins is not None:
        tally = (
            f"{measured.wins:,} won, {measured.losses:,} lost, {measured.ties:,} tied"
        )
    return Cell(
        value=written(measured.name, measured.estimate.value)
        if measured.n
        else "undecided",
        span=_span(measured.name, measured.estimate) if measured.n else "",
        n=measured.n,
        unit=measured.unit,
        difference=_difference(measured),
        outcome=outcome,
        words=OUTCOMES.get(outcome, ""),
        beside=f"{measured.beside_words}: {_beside(measured)}"
        if measured.beside
        else "",
        tally=tally,
    )


def _beside(measured: Measure) -> str:
    assert measured.beside is not None
    span = _span(measured.name, measured.beside)
    return f"{percent(measured.beside.value)} ({span})"


def _span(name: str, estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = written(name, estimate.low), written(name, estimate.high)
    unit = f"{THIN}%"
    if low.endswith(unit) and high.endswith(unit):
        low = low.removesuffix(unit)
    joint = " to " if "-" in low + high else EN_DASH
    return f"{low}{joint}{high}".replace("-", MINUS)


def _difference(measured: Measure) -> str:
    apart = measured.difference
    if apart is None:
        return ""
    value = _signed(measured.name, apart.value)
    unit = ""
    if KINDS[measured.name].is_share:
        unit = " point" if round(100 * abs(apart.value)) == 1 else " points"
    if apart.low is None or apart.high is None:
        return f"{value}{unit}"
    ends = (
        f"{_signed(measured.name, apart.low)} to {_signed(measured.name, apart.high)}"
    )
    return f"{value}{unit} ({ends})"


def _signed(name: str, value: float) -> str:
    if KINDS[name].is_share:
        text = f"{100 * abs(value):.0f}"
        is_zero = text == "0"
    else:
        text = decimal(abs(value))
        is_zero = not value
    if is_zero:
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def _in_words(one: Measure, base: Measure | None, where: str) -> str:
    phrase = f"{KINDS[one.name].phrase}{where}"
    value = written(one.name, one.estimate.value)
    if base is None:
        return f"{phrase} ({value})"
    other = written(base.name, base.estimate.value)
    return f"{phrase} ({value}, the baseline {other})"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _title(
    facts: dict[str, Any], names: list[str], dataset: int | None, by: str
) -> tuple[str, str]:
    """Return what a group of measures is called, and what it rests on."""
    if by == "tinyworld":
        return "By known truth: Tiny World", "all rows that ask about it"
    if by == "judge":
        return f"As {facts.get('judge') or 'a reward model'} rates it", "all answers"
    assert dataset is not None
    told = facts["datasets"][dataset]
    held_out = ", held out" if told.get("held_out") else ""
    if told["kind"] == "text":
        return names[dataset], f"text{held_out}"
    return names[dataset], f"{told['rows']:,} of {told['of']:,} rows{held_out}"
