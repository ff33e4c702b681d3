"""How well a model told held-out pairs apart: words, and two drawings."""

from dataclasses import dataclass
from typing import Any

from trivium.pages.templatetags.numbers import percent, three_digits
from trivium.runs.models import Run

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 24, 14, 34
LEAST, MOST = 0.5, 1.0
"""Of a confidence that one of two answers is preferred."""


@dataclass(frozen=True)
class Dot:
    """One bin of confidence."""

    x: float
    y: float
    low: float
    high: float
    """Ends of the interval, on the page."""
    title: str


@dataclass(frozen=True)
class Bar:
    """Pairs whose margin lies in a range."""

    x: float
    y: float
    width: float
    height: float
    is_right: bool
    title: str


@dataclass(frozen=True)
class Tick:
    """A number beside an axis."""

    place: float
    label: str


@dataclass(frozen=True)
class Judged:
    """What is shown of the held-out pairs."""

    values: dict[str, Any]
    verdict: str
    is_better: bool
    """Whether it is better than length alone, as far as the pairs can tell."""
    dots: list[Dot]
    bars: list[Bar]
    zero: float
    """Where a margin of 0 stands."""
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    margin_ticks: list[Tick]


def judged_of(run: Run) -> Judged | None:
    """Return what a run found of held-out pairs; None where it has none."""
    values = run.result.get("preference")
    if not isinstance(values, dict) or not values.get("pairs"):
        return None
    accuracy, length = values["accuracy"], values["by_length"]
    is_better = accuracy["low"] > length["value"]
    bars = bars_of(values.get("margins", []))
    shares = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    return Judged(
        values=values,
        verdict=verdict_on(accuracy, length),
        is_better=is_better,
        dots=[dot_of(one) for one in values["calibration"]],
        bars=bars,
        zero=(LEFT + WIDTH - RIGHT) / 2,
        x_ticks=[Tick(place_x(one), percent(one)) for one in shares],
        y_ticks=[Tick(place_y(one), percent(one)) for one in (0, 0.25, 0.5, 0.75, 1)],
        margin_ticks=margin_ticks(values.get("margins", [])),
    )


def verdict_on(accuracy: dict[str, float], length: dict[str, Any]) -> str:
    """Say whether a model learnt more than that answers are long or short."""
    rule = f"picking the {length['picks']} answer"
    if accuracy["low"] > length["value"]:
        return f"It is better than {rule}."
    if accuracy["high"] < length["value"]:
        return f"It is worse than {rule}: it has learnt less than length alone tells."
    return (
        f"It cannot be told from {rule}: the interval holds what length alone does. "
        "More held-out pairs would narrow it."
    )


def place_x(confidence: float) -> float:
    """Return where a confidence stands."""
    return LEFT + (confidence - LEAST) / (MOST - LEAST) * (WIDTH - LEFT - RIGHT)


def place_y(share: float) -> float:
    """Return where a share from 0 to 1 stands."""
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def dot_of(one: dict[str, Any]) -> Dot:
    """Return a bin of confidence as it is drawn."""
    return Dot(
        x=place_x(one["predicted"]),
        y=place_y(one["observed"]),
        low=place_y(one["low"]),
        high=place_y(one["high"]),
        title=f"{one['pairs']:,} pairs it was {percent(one['predicted'])} sure of: "
        f"right in {percent(one['observed'])}",
    )


def bars_of(margins: list[dict[str, Any]]) -> list[Bar]:
    """Return the histogram of margins."""
    most = max((one["pairs"] for one in margins), default=0)
    if not most:
        return []
    step = (WIDTH - LEFT - RIGHT) / len(margins)
    return [
        Bar(
            x=LEFT + at * step + 0.5,
            y=place_y(one["pairs"] / most),
            width=step - 1,
            height=place_y(0) - place_y(one["pairs"] / most),
            is_right=one["from"] >= 0,
            title=f"{one['pairs']:,} pairs with a margin of "
            f"{three_digits(one['from'])} to {three_digits(one['to'])}",
        )
        for at, one in enumerate(margins)
    ]


def margin_ticks(margins: list[dict[str, Any]]) -> list[Tick]:
    """Return both ends of the margins, and 0 between them."""
    if not margins:
        return []
    reach = margins[-1]["to"]
    return [
        Tick(LEFT, f"\N{MINUS SIGN}{three_digits(reach)}"),
        Tick((LEFT + WIDTH - RIGHT) / 2, "0"),
        Tick(WIDTH - RIGHT, three_digits(reach)),
    ]
