"""The comparisons of a campaign, one after another, out of the file they are in."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from runspec.labels import LabeledPair

from trainer.errors import BadInputError


class Placed(NamedTuple):
    """A comparison, and how many bytes of the file are read with it."""

    pair: LabeledPair
    position: int


def read_pairs(path: Path) -> Iterator[Placed]:
    """Return one comparison at a time.

    Raises:
        BadInputError: the file is gone, or a line of it is no comparison.
    """
    position = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                position += len(line)
                if line.strip():
                    yield Placed(_parse(line, number), position)
    except OSError as error:
        raise BadInputError(f"the votes cannot be read: {error}") from error


def _parse(line: bytes, number: int) -> LabeledPair:
    try:
        return LabeledPair.model_validate_json(line)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, wrong["loc"])) or "the line"
        raise BadInputError(
            f"line {number:,} of the campaign's votes is no comparison: {field}: "
            f"{wrong['msg']}"
        ) from error
