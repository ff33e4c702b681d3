"""The look of a run among others: ten colours, then the same ones dashed."""

from django import template

register = template.Library()

NUM_HUES = 10
NUM_DASHES = 5


@register.filter
def hue(index: int) -> int:
    """Return the colour of the run at a place."""
    return index % NUM_HUES


@register.filter
def dash(index: int) -> int:
    """Return the dash of the run at a place."""
    return index // NUM_HUES % NUM_DASHES
