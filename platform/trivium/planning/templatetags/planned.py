"""Figures of plans for people: 175 B, 24.00 USD, 3.1 MWh, 2.4 t."""

import math

from django import template

from trivium.pages.templatetags.numbers import (
    DAY,
    MISSING,
    THIN,
    as_number,
    duration,
    three_digits,
)

register = template.Library()

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
YEAR = 365.25 * DAY
TIMES = "\N{MULTIPLICATION SIGN}"
LONG = 1e4
"""From here on a power of ten is read more easily than a unit."""


@register.filter
def amount(value: object) -> str:
    """174600000000 → 175 B, as the field counts parameters and tokens."""
    number = as_number(value)
    if number is None:
        return MISSING
    if number >= LONG * 1e12:
        return power(number)
    for scale, unit in SCALES:
        if number >= scale * 0.9995:
            return f"{three_digits(number / scale)}{THIN}{unit}"
    return three_digits(number)


@register.filter
def power(value: object) -> str:
    """3.143e23 → 3.14 times 10²³."""
    number = as_number(value)
    if number is None or number <= 0:
        return MISSING
    digits, _, exponent = f"{number:.2e}".partition("e")
    raised = str(int(exponent)).translate(SUPERSCRIPTS)
    return f"{digits}{THIN}{TIMES}{THIN}10{raised}"


@register.filter
def scaled(value: object) -> str:
    """1234567.8 → 1,230,000: three digits that count; below a thousandth: < 0.001."""
    number = as_number(value)
    if number is None:
        return MISSING
    if number == 0:
        return "0"
    if abs(number) < 0.001:
        return "< 0.001"
    if abs(number) >= LONG * 1e12:
        return power(number)
    digits = 2 - math.floor(math.log10(abs(number)))
    return f"{round(number, digits):,.{max(0, min(digits, 3))}f}"


@register.filter
def money(value: object, currency: object) -> str:
    """23.4 → 23.40 USD; three digits that count from a hundred on."""
    number = as_number(value)
    if number is None:
        return MISSING
    text = f"{number:.2f}" if 0.01 <= number < 100 or number == 0 else scaled(number)
    return f"{text}{THIN}{currency}"


@register.filter
def hours(value: object) -> str:
    """2.23 → 2 h 14 min; above two years: 12.3 years."""
    number = as_number(value)
    if number is None:
        return MISSING
    seconds = 3600 * number
    if seconds >= 2 * YEAR:
        return f"{scaled(seconds / YEAR)}{THIN}years"
    return duration(seconds)


@register.filter
def energy(value: object) -> str:
    """kWh → 310 Wh, 3.1 kWh, 3.1 MWh or 3.1 GWh."""
    number = as_number(value)
    if number is None:
        return MISSING
    for scale, unit in ((1e6, "GWh"), (1e3, "MWh"), (1, "kWh")):
        if number >= scale * 0.9995:
            return f"{scaled(number / scale)}{THIN}{unit}"
    return f"{scaled(1000 * number)}{THIN}Wh"


@register.filter
def mass(value: object) -> str:
    """Kilograms → 310 g, 3.1 kg or 3.1 t."""
    number = as_number(value)
    if number is None:
        return MISSING
    for scale, unit in ((1e3, "t"), (1, "kg")):
        if number >= scale * 0.9995:
            return f"{scaled(number / scale)}{THIN}{unit}"
    return f"{scaled(1000 * number)}{THIN}g"
