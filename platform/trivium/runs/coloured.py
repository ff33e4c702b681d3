"""Text a model sees, drawn: trained on or not, special tokens set apart."""

import re
from collections.abc import Iterable, Iterator

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from trivium.datasets.visible import cut, mark_hidden

SPECIAL = re.compile(
    r"(<\|[^<>|\s]{1,40}\|>|</?s>|<(?:pad|unk|mask|bos|eos|cls|sep)>"
    r"|<extra_id_\d{1,3}>|\[(?:CLS|SEP|MASK|PAD|UNK)\])"
)
"""Special tokens as the tokenizers of all families write them."""
MAX_CHARACTERS = 4000
"""Shown of one row."""

Part = tuple[str, bool, str]
"""Text, whether it is trained on, and what is said when one points at it."""


def draw(parts: Iterable[Part]) -> SafeString:
    """Return the parts as HTML, `MAX_CHARACTERS` of their text at most."""
    return format_html_join("", '<span class="{}" title="{}">{}</span>', spans(parts))


def spans(parts: Iterable[Part]) -> Iterator[tuple[str, str, SafeString]]:
    """Return (class, title, text made safe to look at) of what is drawn alike."""
    left = MAX_CHARACTERS
    for text, is_trained, title in parts:
        kept, left_out = cut(text, left)
        left -= len(kept)
        for number, piece in enumerate(SPECIAL.split(kept)):
            if not piece:
                continue
            names = ["seen"]
            names += ["seen--trained"] if is_trained else []
            names += ["seen--special"] if number % 2 else []
            # Line ends stay, with a mark before each.
            yield " ".join(names), title, mark_hidden(piece.replace("\n", "↵\n"))
        if left_out:
            return


def by_spans(text: str, trained: Iterable[tuple[int, int]]) -> Iterator[Part]:
    """Return a text as parts within spans, which are trained on, and parts between."""
    end = 0
    for start, stop in trained:
        if start > end:
            yield text[end:start], False, "only read"
        yield text[start:stop], True, "learned from"
        end = max(end, stop)
    if end < len(text):
        yield text[end:], False, "only read"
