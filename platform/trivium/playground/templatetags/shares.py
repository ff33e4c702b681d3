"""Shares with the digits that matter, and tokens as they look."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from trivium.datasets.visible import mark_hidden
from trivium.pages.templatetags.numbers import MISSING, THIN, as_number

register = template.Library()

LEAST = 0.0001
SPACES = {" ": "·", "\n": "↵", "\t": "⇥"}


@register.filter
def share(value: object) -> str:
    """0.4321 → 43 %, 0.0123 → 1.2 %, 0.00123 → 0.12 %; what is less says so."""
    number = as_number(value)
    if number is None:
        return MISSING
    if 0 < number < LEAST:
        return f"< 0.01{THIN}%"
    digits = 0 if number >= 0.0995 else 1 if number >= 0.00995 else 2
    return f"{100 * number:.{digits}f}{THIN}%"


@register.filter
def token_shown(text: object) -> SafeString:
    """Show a token by itself: spaces and line ends as marks, the hidden by name."""
    written = str(text)
    if not written:
        return mark_safe('<span class="token-mark">empty</span>')
    return format_html_join("", "{}", ((_one(letter),) for letter in written))


def _one(letter: str) -> SafeString:
    if letter in SPACES:
        return format_html('<span class="token-mark">{}</span>', SPACES[letter])
    return mark_hidden(letter)
