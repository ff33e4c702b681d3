"""Loss over compute by the fitted law, as an SVG: what more compute may bring."""

import math
from dataclasses import dataclass

from trivium.planning.making import Plan, Row
from trivium.planning.scaling import FITTED_FLOPS, expected_loss, optimum_for_flops
from trivium.planning.templatetags.planned import TIMES, power

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 48, 24, 16, 44
LEAST_EXPONENT, MOST_EXPONENT = 17, 25
STEPS_PER_DECADE = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """A model."""

    x: float
    y: float
    name: str
    title: str
    is_yours: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A number beside an axis."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole picture; coordinates in SVG units."""

    line: str
    """Best loss at each compute: `x,y x,y`."""
    fitted: tuple[float, float]
    """x and width of the compute the law was fitted on."""
    marks: list[Mark]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def draw_frontier(plan: Plan) -> Drawing:
    """Return the best loss over compute with the plan and known models in it."""
    rows = [row for row in plan.rows if row.tokens is not None and row.flops]
    yours = math.log10(plan.cost.flops)
    low = min(LEAST_EXPONENT, math.floor(yours))
    high = max(MOST_EXPONENT, math.ceil(yours))
    exponents = [
        low + step / STEPS_PER_DECADE
        for step in range((high - low) * STEPS_PER_DECADE + 1)
    ]
    losses = [best_loss(exponent) for exponent in exponents]
    worst = max(*losses, *(loss_of(row) for row in rows))
    least = min(losses)

    def place_x(exponent: float) -> float:
        return LEFT + (exponent - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    # Above the irreducible loss halving is what counts, so the axis is logarithmic.
    def place_y(loss: float) -> float:
        share = math.log(loss / least) / math.log(worst / least)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    fitted = [
        min(max(place_x(math.log10(end)), LEFT), WIDTH - RIGHT) for end in FITTED_FLOPS
    ]
    every = max(1, math.ceil((high - low) / 8))
    points = zip(exponents, losses, strict=True)
    return Drawing(
        line=" ".join(f"{place_x(x):.1f},{place_y(loss):.1f}" for x, loss in points),
        fitted=(fitted[0], fitted[1] - fitted[0]),
        marks=[
            Mark(
                x=place_x(math.log10(row.flops or 1)),
                y=place_y(loss_of(row)),
                name=row.name,
                title=f"{row.name}: ≈ {loss_of(row):.2f} nats at {power(row.flops)} "
                "FLOPs",
                is_yours=row.is_yours,
            )
            for row in sorted(rows, key=lambda row: row.is_yours)
        ],
        x_ticks=[
            Tick(place_x(exponent), power(10.0**exponent).partition(TIMES)[2].strip())
            for exponent in range(low, high + 1, every)
        ],
        y_ticks=[
            Tick(place_y(loss), f"{loss:.1f}") for loss in ticks_between(least, worst)
        ],
    )


def best_loss(exponent: float) -> float:
    """Return the loss of the best model for 10^exponent operations."""
    best = optimum_for_flops(10.0**exponent, "fitted")
    return expected_loss(best.parameters, best.tokens)


def loss_of(row: Row) -> float:
    """Return what the law expects of a model."""
    assert row.tokens is not None
    return expected_loss(row.parameters, row.tokens)


def ticks_between(low: float, high: float) -> list[float]:
    """Return at most seven round losses between two."""
    ratio = (high / low) ** (1 / 5)
    values = [round(low * ratio**step, 1) for step in range(6)]
    return sorted({value for value in values if low <= value <= high})
