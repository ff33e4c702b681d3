"""Text of unknown origin, cut and made safe to look at.

Escaping keeps HTML harmless; this also shows what a reader could not see or would be
deceived by: control and zero-width characters, odd spaces, and characters that turn
the direction of text around.
"""

import unicodedata

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
NAMES = {
    "\0": "NUL",
    "\x07": "BEL",
    "\x08": "BS",
    "\r": "CR",
    "\x1b": "ESC",
    "\x7f": "DEL",
    "\x85": "NEL",
    "\xa0": "NBSP",
    "\xad": "SHY",
    "\u200b": "ZWSP",
    "\u200c": "ZWNJ",
    "\u200d": "ZWJ",
    "\u200e": "LRM",
    "\u200f": "RLM",
    "\u2028": "LS",
    "\u2029": "PS",
    "\u202a": "LRE",
    "\u202b": "RLE",
    "\u202c": "PDF",
    "\u202d": "LRO",
    "\u202e": "RLO",
    "\u2066": "LRI",
    "\u2067": "RLI",
    "\u2068": "FSI",
    "\u2069": "PDI",
    "\ufeff": "BOM",
}


def is_hidden(character: str) -> bool:
    """Whether a character leaves no mark, or changes how others are drawn."""
    if character in " \n\t":
        return False
    category = unicodedata.category(character)
    return category in HIDDEN_CATEGORIES or category == "Zs"


def character_name(character: str) -> str:
    """Return a short name, like `RLO` or `U+E000`."""
    return NAMES.get(character, f"U+{ord(character):04X}")


def mark_hidden(text: str) -> SafeString:
    """Return `text` as HTML in which every hidden character shows its name."""
    if text.isascii() and text.isprintable():
        return mark_safe(escape(text))  # noqa: S308 - escaped
    parts: list[str] = []
    start = 0
    for index, character in enumerate(text):
        if is_hidden(character):
            parts += [escape(text[start:index]), _mark(character)]
            start = index + 1
    parts.append(escape(text[start:]))
    return mark_safe("".join(parts))  # noqa: S308 - each part is escaped


def _mark(character: str) -> str:
    full = unicodedata.name(character, f"U+{ord(character):04X}")
    return (
        f'<span class="hidden-character" title="{escape(full)}">'
        f"{escape(character_name(character))}</span>"
    )


def cut(text: str, limit: int) -> tuple[str, int]:
    """Return at most `limit` characters, and how many are left out."""
    return text[:limit], max(0, len(text) - limit)
