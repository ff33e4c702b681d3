"""Bars: where a figure stands from 0 to 100 per cent, and what was voted."""

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from trivium.campaigns.models import Item

register = template.Library()

PARTS = ("a", "b", "tie", "both_bad")


@register.simple_tag
def band_shapes(
    value: Any, low: Any, high: Any, percent: Any, plus_minus: Any
) -> SafeString:
    """Draw a bar up to a figure, and its interval over it."""
    if isinstance(percent, int | float):
        spread = plus_minus or 0.0
        value, low, high = percent, percent - spread, percent + spread
    else:
        value, low, high = (
            100 * one if isinstance(one, int | float) else None
            for one in (value, low, high)
        )
    shapes = format_html(
        '<rect class="band__fill" width="{}" height="8" />', f"{value or 0:.1f}"
    )
    if low is None or high is None or high <= low:
        return shapes
    return format_html(
        '{}<rect class="band__range" x="{}" y="2.5" width="{}" height="3" />',
        shapes,
        f"{low:.1f}",
        f"{high - low:.1f}",
    )


@register.simple_tag
def tally_bar(item: Item) -> SafeString:
    """Draw the votes on a comparison: A from the left, B to the right, ties between."""
    counts = {part: getattr(item, f"num_{part}") for part in PARTS}
    total = sum(counts.values())
    if not total:
        return SafeString()
    shapes, at = [], 0.0
    for part in ("a", "tie", "both_bad", "b"):
        width = 100 * counts[part] / total
        if width:
            shapes.append((part, f"{at:.1f}", f"{width:.1f}"))
        at += width
    return format_html(
        '<svg class="tally__bar" viewBox="0 0 100 8" preserveAspectRatio="none" '
        'aria-hidden="true">{}</svg>',
        format_html_join(
            "",
            '<rect class="tally__part tally__part--{}" x="{}" width="{}" height="8" />',
            shapes,
        ),
    )
