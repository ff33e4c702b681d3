"""Numbers as people type them: 124e6, 124M, 1.5B, 2.5 bn, 300 billion."""

import math
import re

SCALES = {
    "": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9, "g": 1e9, "t": 1e12,
    "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12,
}  # fmt: skip
PATTERN = re.compile(
    r"\s*([0-9][0-9,_ ]*(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?\s*([a-z]*)\s*",
    re.ASCII | re.IGNORECASE,
)
MAX_LENGTH = 60


def parse_quantity(text: str) -> float:
    """Return the number that `text` means; commas and spaces only group digits.

    Raises:
        ValueError: it is no such number.
    """
    found = PATTERN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    scale = SCALES.get(found[3].lower()) if found else None
    if found is None or scale is None:
        raise ValueError(f"{text[:MAX_LENGTH]!r} is no number like 124e6, 124M or 1.5B")
    digits = re.sub(r"[,_ ]", "", found[1])
    number = float(digits + (found[2] or "")) * scale
    if not math.isfinite(number):
        raise ValueError("this number is too large to reckon with")
    return number


def plain_quantity(number: float) -> str:
    """Return a number as a person would type it: 124M; no more than six digits."""
    for scale, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= scale:
            return f"{number / scale:.6g}{unit}"
    return f"{number:.6g}"
