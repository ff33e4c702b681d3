"""A split text as coloured pieces."""

from typing import NamedTuple

from trivium.tokenizers.splitting import Token

NUM_HUES = 5


class Piece(NamedTuple):
    """A piece of the text and the tokens that cover it; none where text was dropped.

    Several tokens cover one piece where a character is split into its bytes.
    """

    text: str
    tokens: list[Token]
    hue: int

    @property
    def shown(self) -> str:
        """The text with marks for line ends and tabs, which nobody would see."""
        return self.text.replace("\n", "↵").replace("\t", "⇥")


def pieces(text: str, tokens: list[Token]) -> list[Piece]:
    """Return `text` in pieces, each as small as the tokens allow."""
    found: list[Piece] = []
    group: list[Token] = []
    start = end = 0
    number = 0
    for token in tokens:
        if group and token.start < end:
            group.append(token)
            end = max(end, token.end)
            continue
        if group:
            found.append(Piece(text[start:end], group, number % NUM_HUES))
            number += 1
        if token.start > end:
            found.append(Piece(text[end : token.start], [], 0))
        group, start, end = [token], token.start, token.end
    if group:
        found.append(Piece(text[start:end], group, number % NUM_HUES))
    if end < len(text):
        found.append(Piece(text[end:], [], 0))
    return found
