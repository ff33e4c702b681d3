"""Shares with the digits that matter, and tokens as they look."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from trivium.datasets.visible import mark_hidden
from trivium.pages.templatetags.numbers import MISSING, THIN, as_number
from trivium.playground.next_token import Told

register = template.Library()

LEAST = 0.0001
HERE = mark_safe(' aria-current="true"')
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


@register.simple_tag
def token_link(token: Told, colour: str, here: int | str) -> SafeString:
    """Show a token in its text, as a link to what else could have come.

    A tag, since no white space may come between two tokens.
    """
    return format_html(
        '<a class="tok tok--p{} tok--e{}" href="?at={}&amp;colour={}#next" '
        'data-at="{}" title="{} likely · {} nats"{}>{}</a>',
        token.likely,
        token.decided,
        token.at,
        colour,
        token.at,
        share(token.share),
        f"{token.entropy:.2f}",
        HERE if token.at == here else "",
        token.text,
    )


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
