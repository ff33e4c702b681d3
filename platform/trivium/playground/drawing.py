"""An answer as HTML while it is being written.

Markdown can only be read as a whole, but most of it is settled early: what stands
before a blank line that begins a new block is drawn once, and only what follows is
drawn anew with each piece of text. The whole answer, drawn once it is over, may differ
in what reaches across blocks, like the looseness of a list.
"""

import re
from typing import NamedTuple

from django.utils.safestring import SafeString

from trivium.models.card import markdown_html

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
NEW_BLOCK = re.compile(r"[^\s\-*+>|\d]")
"""How a line begins that goes on with nothing before it: no list, quote or table."""


class Piece(NamedTuple):
    """What is new of a drawing."""

    settled: str
    """To be added to what is settled."""
    tail: str
    """In place of the tail there was."""


class Drawing:
    """One answer, drawn as its text comes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.text = ""
        self.num_settled = 0
        self.fence = ""
        """What the open code block will end with; empty outside of one."""
        self.num_scanned = 0

    def add(self, text: str) -> Piece:
        """Take more text."""
        self.text += text
        end = self._settle()
        settled = render(self.text[self.num_settled : end])
        self.num_settled = end
        return Piece(settled, render(self.text[end:]))

    def _settle(self) -> int:
        """Return up to where the text is settled; each whole line is read once."""
        end = self.num_settled
        while (line_end := self.text.find("\n", self.num_scanned)) >= 0:
            start, self.num_scanned = self.num_scanned, line_end + 1
            if self._begins_block(start, line_end):
                end = start
            self._pass_fence(self.text[start:line_end])
        # The last line need not be whole to be known as the beginning of a block.
        if self._begins_block(self.num_scanned, len(self.text)):
            end = self.num_scanned
        return end

    def _begins_block(self, start: int, end: int) -> bool:
        is_after_blank = self.text.endswith("\n\n", 0, start)
        begins = NEW_BLOCK.match(self.text, start, end) is not None
        return is_after_blank and begins and not self.fence

    def _pass_fence(self, line: str) -> None:
        found = FENCE.match(line)
        if found is None:
            return
        if not self.fence:
            self.fence = found.group(1)
        elif line.strip().startswith(self.fence) and not line.strip().strip(
            self.fence[0]
        ):
            self.fence = ""


def render(text: str) -> SafeString | str:
    """Return a piece as harmless HTML."""
    return markdown_html(text) if text.strip() else ""
