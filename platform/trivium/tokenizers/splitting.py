"""How a tokenizer splits a text, for the try-it box and the API."""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from trivium import storage
from trivium.tokenizers.models import Tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Splitter


class Token(NamedTuple):
    """One token; `start` to `end` is the piece of the text it covers.

    A character of several bytes may be covered by several tokens: each of them then
    spans the whole character.
    """

    id: int
    token: str
    start: int
    end: int


def split_text(tokenizer: Tokenizer, text: str) -> list[Token]:
    """Split `text`; what looks like a special token is plain text here.

    Raises:
        FileNotFoundError: the tokenizer is not ready, or its files are gone.
    """
    if not tokenizer.is_ready:
        raise FileNotFoundError(f"{tokenizer} is not ready")
    encoding = _load(tokenizer.path).encode(text, add_special_tokens=False)
    return [
        Token(number, token, start, end)
        for number, token, (start, end) in zip(
            encoding.ids, encoding.tokens, encoding.offsets, strict=True
        )
    ]


@lru_cache(maxsize=8)
def _load(path: str) -> "Splitter":
    """Load what lies at a key; keys never change their content."""
    from tokenizers import Tokenizer as Splitter

    splitter = Splitter.from_file(str(storage.local_copy(path) / "tokenizer.json"))
    splitter.encode_special_tokens = True
    return splitter
