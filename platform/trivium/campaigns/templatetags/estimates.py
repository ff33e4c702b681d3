"""Estimates with their intervals; where there is none, why."""

from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from trivium.campaigns.questions import STRENGTHS
from trivium.pages.templatetags.numbers import (
    MISSING,
    THIN,
    as_number,
    duration,
    percent,
)

register = template.Library()

EN_DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


@register.filter
def two(value: object) -> str:
    """0.4321 → 0.43, with a real minus sign."""
    number = as_number(value)
    return MISSING if number is None else f"{number:.2f}".replace("-", MINUS)


@register.filter
def points(value: object) -> str:
    """1034.6 → 1,035."""
    number = as_number(value)
    return MISSING if number is None else f"{number:,.0f}".replace("-", MINUS)


def shown_with(stored: Any, show: Any) -> SafeString:
    """Return a value with its interval, or a dash with the reason behind it."""
    if not stored or stored.get("value") is None:
        reason = (stored or {}).get("reason") or "Not known yet."
        return format_html('<span class="quiet" title="{}">{}</span>', reason, MISSING)
    interval = stored.get("interval")
    if interval is None:
        return format_html(
            '<span class="estimate" title="{}">{}</span>',
            stored.get("reason", ""),
            show(stored["value"]),
        )
    return format_html(
        '<span class="estimate" title="95 % interval">{} <span class="estimate__range">'
        "{}</span></span>",
        show(stored["value"]),
        span_of(interval, show),
    )


def span_of(interval: Any, show: Any) -> str:
    """Return both ends of an interval; a shared unit is written once."""
    low, high = show(interval["low"]), show(interval["high"])
    unit = f"{THIN}%"
    if low.endswith(unit) and high.endswith(unit):
        low = low.removesuffix(unit)
    joint = EN_DASH if MINUS not in low + high else " to "
    return f"{low}{joint}{high}"


@register.filter
def estimate(stored: Any) -> SafeString:
    """Return a coefficient with its interval behind it."""
    return shown_with(stored, two)


@register.filter
def share_estimate(stored: Any) -> SafeString:
    """Return a share with its interval behind it."""
    return shown_with(stored, percent)


@register.filter
def score_estimate(stored: Any) -> SafeString:
    """Return a score with its interval behind it."""
    return shown_with(stored, points)


@register.filter
def out_of(stored: Any) -> SafeString:
    """Return a share with its interval, and how many of how many it is."""
    return format_html(
        '<span title="{} of {}">{}</span>',
        f"{(stored or {}).get('hits', 0):g}",
        (stored or {}).get("total", 0),
        share_estimate(stored),
    )


@register.filter
def choice_word(choice: object) -> str:
    """Return a choice as a table has it: A, B, tie, both bad."""
    return {"a": "A", "b": "B", "tie": "Tie", "both_bad": "Both bad"}.get(
        str(choice), MISSING
    )


@register.filter
def at_time(seconds: object) -> str:
    """Return Unix seconds as a date, with its time of day where that is not 0:00."""
    number = as_number(seconds)
    if number is None:
        return MISSING
    when = datetime.fromtimestamp(number, UTC)
    pattern = "%Y-%m-%d" if (when.hour, when.minute) == (0, 0) else "%Y-%m-%d %H:%M"
    return when.strftime(pattern)


@register.filter
def minutes(value: object) -> str:
    """90 → 1 h 30 min."""
    number = as_number(value)
    return MISSING if number is None else duration(60 * number)


@register.filter
def milliseconds(value: object) -> str:
    """12300 → 12 s."""
    number = as_number(value)
    return MISSING if number is None else duration(number / 1000)


@register.filter
def cut_sign(value: object) -> float | None:
    """-4 → 4."""
    number = as_number(value)
    return None if number is None else abs(number)


@register.filter
def strength_word(strength: object) -> str:
    """1 → slightly."""
    word = STRENGTHS.get(strength, "") if isinstance(strength, int) else ""
    return word.removesuffix(" better").lower()
