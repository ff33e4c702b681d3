"""Turning rendered conversations into ids, so that people's text stays text.

A text that happens to contain the name of a special token could end a turn, or begin
one of somebody else. So such names are broken before a template is rendered, and
mended while they are encoded: what a template writes itself becomes a special token,
what a person wrote never does.
"""

import re
from collections.abc import Iterator
from typing import Any

BREAK = "\ue0fa"
"""Breaks the name of a special token in a person's text until it is encoded."""


class TextEncoder:
    """Breaks, mends and encodes for one tokenizer, as transformers loads them."""

    def __init__(self, tokenizer: Any, backend: Any = None) -> None:
        """Take a tokenizer; `backend` encodes in its place where others use its own."""
        self.tokenizer = tokenizer
        self._backend = backend
        names = sorted(map(str, tokenizer.all_special_tokens), key=len)[::-1]
        names += [name for name in tokenizer.get_added_vocab() if name not in names]
        self._specials = re.compile("|".join(map(re.escape, names)) or r"(?!)")

    @property
    def backend(self) -> Any:
        """What encodes; not to be used by two threads at once."""
        return self._backend or self.tokenizer.backend_tokenizer

    def broken(self, value: Any) -> Any:
        """Return a JSON value with the names of special tokens broken everywhere."""
        if isinstance(value, str):
            return self._specials.sub(lambda found: _break(found[0]), value)
        if isinstance(value, list | tuple):
            return [self.broken(item) for item in value]
        if isinstance(value, dict):
            return {key: self.broken(item) for key, item in value.items()}
        return value

    def encode(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Yield (id, start, end) of each token of a rendered text, in characters."""
        if BREAK not in text:
            self.backend.encode_special_tokens = False
            encoding = self.backend.encode(text, add_special_tokens=False)
            for one, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
                yield one, start, end
            return
        at = 0
        for found in [*self._specials.finditer(text), None]:
            stop = len(text) if found is None else found.start()
            yield from self._plain(text[at:stop], at)
            if found is not None:
                special = self.tokenizer.convert_tokens_to_ids(found[0])
                yield special, found.start(), found.end()
                at = found.end()

    def _plain(self, piece: str, at: int) -> Iterator[tuple[int, int, int]]:
        """Encode text whose special tokens, mended, are text all the same."""
        places = [place for place, one in enumerate(piece) if one != BREAK]
        self.backend.encode_special_tokens = True
        encoding = self.backend.encode(mended(piece), add_special_tokens=False)
        self.backend.encode_special_tokens = False
        for one, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if end > start:
                yield one, at + places[start], at + places[end - 1] + 1
            else:
                yield one, at, at


def mended(text: str) -> str:
    """Return a text as its writer wrote it."""
    return text.replace(BREAK, "")


def _break(name: str) -> str:
    return name[:1] + BREAK + name[1:]


def special_variables(tokenizer: Any) -> dict[str, str]:
    """Return the special tokens a template may name."""
    return {
        name: str(token)
        for name, token in tokenizer.special_tokens_map.items()
        if isinstance(token, str)
    }
