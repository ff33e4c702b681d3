"""`{{ text|visible:400 }}`: cut, escaped, with hidden characters shown."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from trivium.datasets.visible import cut, mark_hidden

register = template.Library()


@register.filter
def visible(text: object, limit: int = 2_000) -> SafeString:
    """Show text of unknown origin; says how much was left out."""
    shown, left_out = cut(str(text), limit)
    if not left_out:
        return mark_hidden(shown)
    return format_html(
        '{}<span class="cut-text"> … {} more characters</span>',
        mark_hidden(shown),
        f"{left_out:,}",
    )
