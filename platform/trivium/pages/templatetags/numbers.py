"""Numbers for people: 1.24 M, 3.1 GB, 2 h 14 min; the exact value goes into `title`."""

import math
from datetime import datetime

from django import template
from django.utils import timezone

register = template.Library()

MISSING = "\N{EN DASH}"
THIN = "\N{NO-BREAK SPACE}"
MINUTE, HOUR, DAY = 60, 3600, 86_400


def as_number(value: object) -> float | None:
    """Return a finite number, or None for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


@register.filter
def count(value: object) -> str:
    """1240000 → 1.24 M; below ten thousand all digits are shown."""
    number = as_number(value)
    if number is None:
        return MISSING
    if abs(number) < 10_000:
        return f"{number:,.0f}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * 0.9995:
            return f"{three_digits(number / size)}{THIN}{unit}"
    raise AssertionError(number)


@register.filter
def exact(value: object) -> str:
    """1240000 → 1,240,000, for a title."""
    number = as_number(value)
    return MISSING if number is None else f"{number:,.10g}"


@register.filter
def size(value: object) -> str:
    """3100000000 → 3.1 GB, in powers of ten."""
    number = as_number(value)
    if number is None:
        return MISSING
    if abs(number) < 1000:
        return f"{number:.0f}{THIN}B"
    for scale, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(number) >= scale * 0.9995:
            return f"{three_digits(number / scale)}{THIN}{unit}"
    raise AssertionError(number)


@register.filter
def duration(value: object) -> str:
    """Seconds → 0.4 s, 38 s, 12 min 5 s, 2 h 14 min or 3 d 4 h."""
    seconds = as_number(value)
    if seconds is None or seconds < 0:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f}{THIN}s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole}{THIN}s"
    if whole < HOUR:
        return pair(whole, MINUTE, "min", 1, "s")
    if whole < DAY:
        return pair(whole, HOUR, "h", MINUTE, "min")
    return pair(whole, DAY, "d", HOUR, "h")


def pair(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    """Return a duration in its two largest units; the smaller one only if not zero."""
    first, rest = divmod(whole, large)
    text = f"{first}{THIN}{large_unit}"
    second = rest // small
    return f"{text} {second}{THIN}{small_unit}" if second else text


@register.filter
def percent(value: object) -> str:
    """0.1234 → 12 %; tenths are shown below ten per cent."""
    number = as_number(value)
    if number is None:
        return MISSING
    digits = 0 if abs(number) >= 0.0995 or number == 0 else 1
    return f"{100 * number:.{digits}f}{THIN}%"


@register.filter
def decimal(value: object) -> str:
    """1.23456 → 1.235, for losses and rates; tiny numbers keep three digits."""
    number = as_number(value)
    if number is None:
        return MISSING
    return f"{number:.3f}" if abs(number) >= 0.1 or number == 0 else f"{number:.3g}"


@register.filter
def ago(value: object) -> str:
    """A moment → just now, 5 min ago, 3 h ago, or its date."""
    if not isinstance(value, datetime):
        return MISSING
    seconds = (timezone.now() - value).total_seconds()
    if seconds < MINUTE:
        return "just now"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)}{THIN}min ago"
    if seconds < DAY:
        return f"{int(seconds // HOUR)}{THIN}h ago"
    if seconds < 7 * DAY:
        return f"{int(seconds // DAY)}{THIN}d ago"
    return value.strftime("%Y-%m-%d")


@register.filter
def moment(value: object) -> str:
    """Return an exact time with its zone, for a title."""
    if not isinstance(value, datetime):
        return MISSING
    return value.strftime("%Y-%m-%d %H:%M:%S %Z")


def three_digits(number: float) -> str:
    """Return a number with three significant digits and no trailing zeros."""
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
