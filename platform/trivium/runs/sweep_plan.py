"""What a sweep tries: axes of settings, and the specs at their points.

An axis lists values, or gives a range from which a grid takes evenly spread points and
a random sweep draws. Rates are spread over their logarithm, other numbers evenly.
"""

import json
import math
import random
import re
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, NamedTuple, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from runspec import SPECS, Spec, parse_spec

from trivium.runs.differences import label_in_words, value_in_words
from trivium.runs.errors import SubmitError
from trivium.runs.fields import bounds_of, extra_of, without_none

MAX_AXES = 6
MAX_MEMBERS = 100
MAX_POINTS = 50
DRAWS_PER_MEMBER = 20
"""Draws that do not fit together are drawn anew, so many times for each member."""
RANGE = re.compile(
    r"^(?P<low>[^:]+?)\s*(?:\.\.|…)\s*(?P<high>[^:]+?)(?::(?P<points>\d+))?$"
)
Scale = Literal["auto", "linear", "log"]
Method = Literal["grid", "random"]


class Axis(BaseModel):
    """One setting and what is tried of it: `values`, or a range `low` to `high`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    setting: str = Field(min_length=1, max_length=100, description="Name of a setting.")
    values: tuple[bool | int | float | str | None, ...] = Field(
        default=(), max_length=MAX_MEMBERS, description="Values to try."
    )
    low: float | None = Field(default=None, description="Lower end of a range.")
    high: float | None = Field(default=None, description="Upper end of a range.")
    points: int = Field(
        default=5, ge=2, le=MAX_POINTS, description="Points a grid takes of a range."
    )
    scale: Scale = Field(
        default="auto", description="How a range is spread; auto: log for rates."
    )

    @model_validator(mode="after")
    def is_list_or_range(self) -> Self:
        """Refuse what is neither or both."""
        has_range = self.low is not None or self.high is not None
        if has_range and (self.low is None or self.high is None):
            raise ValueError(f"{self.setting}: a range needs low and high")
        if has_range == bool(self.values):
            raise ValueError(f"{self.setting}: give values, or low and high")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"{self.setting}: low must be below high")
        return self

    @property
    def is_range(self) -> bool:
        """Whether it is a range."""
        return self.low is not None


class Member(NamedTuple):
    """One run of a sweep: the swept values, and the whole spec."""

    values: dict[str, Any]
    spec: Spec


class Sweepable(NamedTuple):
    """A setting that can be swept."""

    name: str
    label: str
    is_number: bool
    is_rate: bool
    choices: tuple[Any, ...]


def sweepable_settings(kind: str) -> dict[str, Sweepable]:
    """Return the settings of a kind that are numbers or choices."""
    found = {}
    for name, field in SPECS[kind].model_fields.items() if kind in SPECS else ():
        if name == "kind" or "reference" in extra_of(field):
            continue
        plain, _ = without_none(field.annotation)
        is_number = plain in {int, float}
        choices: tuple[Any, ...] = ()
        if get_origin(plain) is Literal:
            choices = get_args(plain)
        elif plain is bool:
            choices = (True, False)
        if is_number or choices:
            label = label_in_words(kind, name)
            is_rate = is_number and is_rate_like(name, field)
            found[name] = Sweepable(name, label, is_number, is_rate, choices)
    return found


def is_rate_like(name: str, field: FieldInfo) -> bool:
    """Whether equal ratios of a setting, not equal steps, make equal differences."""
    plain, _ = without_none(field.annotation)
    return plain is float and ("rate" in name or "gt" in bounds_of(field))


def parse_axis(setting: str, text: str, *, scale: Scale = "auto") -> Axis:
    """Read what a person wrote: `1e-4, 3e-4`, or a range, `1e-5..1e-2` or `…:7`.

    Raises:
        SubmitError: it is neither.
    """
    match = RANGE.match(text.strip())
    values: dict[str, Any] = {"setting": setting, "scale": scale}
    try:
        if match and (low := as_float(match["low"])) is not None:
            values |= {"low": low, "high": as_float(match["high"])}
            if match["points"]:
                values["points"] = int(match["points"])
        else:
            values["values"] = tuple(
                as_value(part) for part in text.split(",") if part.strip()
            )
        return Axis.model_validate(values)
    except ValidationError as error:
        raise SubmitError(first_sentence(error), field="axes") from None


def as_float(text: str) -> float | None:
    """Return a number, or None for anything else."""
    try:
        return float(text)
    except ValueError:
        return None


def as_value(text: str) -> Any:
    """`3e-4` → 0.0003, `yes` → True, `empty` → None, `cosine` stays."""
    word = text.strip()
    words = {"yes": True, "no": False, "empty": None}
    if word.lower() in words:
        return words[word.lower()]
    try:
        value = json.loads(word)
    except ValueError:
        return word
    return value if isinstance(value, bool | int | float | None) else word


def plan_members(
    kind: str,
    base: dict[str, Any],
    axes: Sequence[Axis],
    *,
    method: Method = "grid",
    number: int = 10,
    seed: int = 0,
) -> list[Member]:
    """Return the runs of a sweep over `axes` around the spec `base`; none twice.

    Raises:
        SubmitError: an axis or a combination is wrong, or there are too many.
    """
    known = sweepable_settings(kind)
    check_axes(kind, axes, known)
    if method == "grid":
        columns = [grid_values(axis, known[axis.setting]) for axis in axes]
        size = math.prod(len(column) for column in columns)
        must_be_few(size, "this grid makes")
        combinations = [
            dict(zip([axis.setting for axis in axes], row, strict=True))
            for row in product(*columns)
        ]
        return without_twins(build(kind, base, values) for values in combinations)
    must_be_few(number, "that is")
    return draw_members(kind, base, axes, known, number=number, seed=seed)


def check_axes(kind: str, axes: Sequence[Axis], known: dict[str, Sweepable]) -> None:
    """Refuse axes that are none, too many, double, or over what cannot be swept."""
    if not 1 <= len(axes) <= MAX_AXES:
        raise SubmitError(
            f"a sweep takes 1 to {MAX_AXES} settings, each with its values; "
            f"{len(axes)} were given",
            field="axes",
        )
    names = [axis.setting for axis in axes]
    for name in names:
        if name not in known:
            raise SubmitError(
                f"{name} is no number or choice of a {kind} run; those are: "
                f"{', '.join(known)}",
                field="axes",
            )
        if names.count(name) > 1:
            raise SubmitError(f"{name} is given twice", field="axes")
    for axis in axes:
        if axis.is_range and not known[axis.setting].is_number:
            raise SubmitError(
                f"{axis.setting} is a choice; list some of: "
                f"{', '.join(map(str, known[axis.setting].choices))}",
                field="axes",
            )
        if is_log(axis, known[axis.setting]) and (axis.low or 0) <= 0:
            raise SubmitError(
                f"{axis.setting}: a logarithmic range starts above 0; raise its lower "
                "end, or spread it linearly",
                field="axes",
            )


def must_be_few(number: int, words: str) -> None:
    """Refuse more members than a sweep may have."""
    if not 1 <= number <= MAX_MEMBERS:
        raise SubmitError(
            f"{words} {number:,} runs; a sweep has 1 to {MAX_MEMBERS}. Leave out "
            "values, or draw fewer at random",
            field="axes",
        )


def is_log(axis: Axis, setting: Sweepable) -> bool:
    """Whether a range is spread over its logarithm."""
    if not axis.is_range:
        return False
    return setting.is_rate if axis.scale == "auto" else axis.scale == "log"


def grid_values(axis: Axis, setting: Sweepable) -> list[Any]:
    """Return the points a grid takes of an axis."""
    if not axis.is_range:
        return list(axis.values)
    shares = [index / (axis.points - 1) for index in range(axis.points)]
    spread = [value_at(axis, setting, share) for share in shares]
    return list(dict.fromkeys(spread))


def value_at(axis: Axis, setting: Sweepable, share: float) -> float:
    """Return the value at a share of a range, with three digits where it is inside."""
    low, high = axis.low or 0.0, axis.high or 0.0
    if share in {0.0, 1.0}:
        return high if share else low
    if is_log(axis, setting):
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    return min(high, max(low, float(f"{value:.3g}")))


def draw_members(
    kind: str,
    base: dict[str, Any],
    axes: Sequence[Axis],
    known: dict[str, Sweepable],
    *,
    number: int,
    seed: int,
) -> list[Member]:
    """Draw `number` different members that fit together; the same seed, the same."""
    generator = random.Random(seed)
    found: dict[str, Member] = {}
    refusal: SubmitError | None = None
    for _ in range(DRAWS_PER_MEMBER * number):
        if len(found) == number:
            break
        values = {
            axis.setting: value_at(axis, known[axis.setting], generator.random())
            if axis.is_range
            else generator.choice(axis.values)
            for axis in axes
        }
        try:
            member = build(kind, base, values)
        except SubmitError as error:
            refusal = error
            continue
        found.setdefault(member.spec.sha256(), member)
    if not found and refusal is not None:
        raise refusal
    return list(found.values())


def build(kind: str, base: dict[str, Any], values: dict[str, Any]) -> Member:
    """Return one member, checked as any spec is.

    Raises:
        SubmitError: the values do not fit; the sentence names them.
    """
    whole = {name: as_whole(kind, name, value) for name, value in values.items()}
    try:
        spec = parse_spec({**base, **whole, "kind": kind})
    except ValidationError as error:
        shown = ", ".join(
            f"{label_in_words(kind, name)} {value_in_words(value)}"
            for name, value in whole.items()
        )
        raise SubmitError(
            f"{shown}: {first_sentence(error)}. Leave that out, or sweep the other "
            "setting too, with a value that fits",
            field="axes",
        ) from None
    return Member({name: getattr(spec, name) for name in whole}, spec)


def as_whole(kind: str, name: str, value: Any) -> Any:
    """Round a point of a range where the setting counts something."""
    plain, _ = without_none(SPECS[kind].model_fields[name].annotation)
    return round(value) if plain is int and isinstance(value, float) else value


def without_twins(members: Any) -> list[Member]:
    """Return members, each spec once."""
    found: dict[str, Member] = {}
    for member in members:
        found.setdefault(member.spec.sha256(), member)
    return list(found.values())


def first_sentence(error: ValidationError) -> str:
    """Return what pydantic refused first, with the setting it names."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
    text = first["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place and not text.startswith(place) else text
