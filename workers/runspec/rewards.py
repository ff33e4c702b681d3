"""Reward functions a run may name: each a name, its parameters and a weight.

In a file or over the API a function is an object; in a form it is one line, such as
`length minimum=5 maximum=40 weight=0.5`.
"""

import json
import re
import shlex
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

MAX_PATTERN = 1000


class RewardFunction(BaseModel):
    """What all have in common. Its text is the line a form shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    weight: float = Field(1.0, ge=-100, le=100, description="Factor in the sum.")

    @model_validator(mode="after")
    def counts(self) -> Self:
        """Refuse a function that would be computed for nothing."""
        if not self.weight:
            raise ValueError(f"{self.name} has weight 0, so it would be ignored")
        return self

    @property
    def title(self) -> str:
        """What its curve is called, behind `train/reward/`."""
        return self.name

    def __str__(self) -> str:
        """Return it as one line, without what is left at its default."""
        given = self.model_dump(exclude_defaults=True, exclude={"name", "weight"})
        words = [f"{key}={shlex.quote(str(value))}" for key, value in given.items()]
        if self.weight != 1:
            words.append(f"weight={self.weight:g}")
        return " ".join([self.name, *words])


class LengthReward(RewardFunction):
    """1 for an answer of so many words; beyond, less by each word, down to 0."""

    name: Literal["length"] = "length"
    minimum: int = Field(1, ge=0, le=100_000, description="Words, at least.")
    maximum: int = Field(50, ge=1, le=100_000, description="Words, at most.")

    @model_validator(mode="after")
    def is_a_band(self) -> Self:
        """Refuse a band nothing lies in."""
        if self.minimum > self.maximum:
            raise ValueError("length: minimum is above maximum")
        return self


class FormatReward(RewardFunction):
    """1 for an answer of the named form, else 0; of repetition, the share that is new.

    `sentence` begins with a capital and ends with . ! or ?; `one_line` has no line
    break; `bullets` has two or more lines, all of them with a bullet; `json` is a JSON
    value; `no_repetition` is the share of runs of three words that are not repeated.
    """

    name: Literal["format"] = "format"
    form: Literal["sentence", "one_line", "bullets", "json", "no_repetition"] = (
        "sentence"
    )

    @property
    def title(self) -> str:
        return self.form


class PatternReward(RewardFunction):
    """1 where a regular expression is found in the answer, else 0."""

    name: Literal["pattern"] = "pattern"
    pattern: str = Field(min_length=1, max_length=MAX_PATTERN)
    whole: bool = Field(False, description="Whether all of the answer must match.")

    @model_validator(mode="after")
    def compiles(self) -> Self:
        """Refuse what is no regular expression."""
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f"pattern {self.pattern!r} is no regular expression: {error}"
            ) from error
        return self


class ExactReward(RewardFunction):
    """1 where the answer is right, else 0.

    To a prompt with a sum such as `12 + 7` the last number of the answer must be the
    total; to any other, the answer must be the dataset's own, but for case and spaces.
    """

    name: Literal["exact"] = "exact"


class TinyWorldReward(RewardFunction):
    """How good an answer is by the facts of Tiny World, from 0 (false) to 1 (right)."""

    name: Literal["tinyworld"] = "tinyworld"
    seed: int = Field(0, ge=0, lt=2**31, description="Of the world.")


class CustomReward(RewardFunction):
    """A Python function that an admin registered on the workers."""

    name: Literal["custom"] = "custom"
    function: str = Field(min_length=1, max_length=200)

    @property
    def title(self) -> str:
        return self.function.rpartition(":")[2]


CLASSES: dict[str, type[RewardFunction]] = {
    "length": LengthReward,
    "format": FormatReward,
    "pattern": PatternReward,
    "exact": ExactReward,
    "tinyworld": TinyWorldReward,
    "custom": CustomReward,
}


def read_function(value: Any) -> Any:
    """Return a function, given as an object or as a line of a form.

    Raises:
        ValueError: it is none; the sentence says which part of it.
    """
    if isinstance(value, str):
        value = from_line(value)
    if not isinstance(value, dict):
        return value
    name = value.get("name")
    if name not in CLASSES:
        known = ", ".join(CLASSES)
        raise ValueError(f"{name!r} is no reward function; there are {known}")
    made = CLASSES[name]
    if unknown := [key for key in value if key not in made.model_fields]:
        known = ", ".join(key for key in made.model_fields if key != "name")
        raise ValueError(f"{name} has no setting {unknown[0]!r}; it has {known}")
    try:
        return made.model_validate(value)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = " ".join([name, *map(str, wrong["loc"])])
        message = wrong["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {message}") from error


def from_line(line: str) -> Any:
    """Return what a line stands for, as an object.

    Raises:
        ValueError: it is not `name key=value …`.
    """
    if line.lstrip().startswith("{"):
        return json.loads(line)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{line!r} cannot be read: {error}") from error
    name, *given = words or [""]
    pairs = [one.partition("=") for one in given]
    if wrong := [key for key, sign, _ in pairs if not sign]:
        raise ValueError(
            f"{wrong[0]!r} is no setting of {name}: write it as key=value, in quotes "
            "where it holds spaces"
        )
    return {"name": name, **{key: text for key, _, text in pairs}}


AnyReward = Annotated[
    Annotated[
        LengthReward
        | FormatReward
        | PatternReward
        | ExactReward
        | TinyWorldReward
        | CustomReward,
        Field(discriminator="name"),
    ],
    BeforeValidator(read_function),
]


def titles(num_models: int, functions: tuple[RewardFunction, ...]) -> list[str]:
    """Return what the parts of a reward are called, each once, models first."""
    wanted = ["model"] * num_models + [one.title for one in functions]
    found: list[str] = []
    for title in wanted:
        same = sum(one == title or one.startswith(f"{title}-") for one in found)
        found.append(f"{title}-{same + 1}" if same else title)
    return found
