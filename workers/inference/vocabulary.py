"""From tokens back to text, one token at a time."""

from functools import lru_cache
from typing import Any

from runspec.serving import TokenTold
from tokenizers import Tokenizer

from inference.sampling import Choice

REPLACEMENT = "\ufffd"
WINDOW = 64
"""Tokens that are decoded again to see what the next one adds; more are never needed
to know how a token looks, since no pre-tokenizer looks further back than a word."""


MOST_PARTIAL = 4
"""Tokens of at most one byte each that make a character; what needs more is none."""


class Vocabulary:
    """How the tokens of one tokenizer look as text and as bytes."""

    def __init__(self, tokenizer: Tokenizer, special_ids: frozenset[int]) -> None:
        """Keep what `TextStream` and the wire need."""
        self.tokenizer = tokenizer
        self.special_ids = special_ids
        """Tokens that are no text: never part of what a person reads."""
        self.for_grammars: Any = None
        """The tokenizer as the library that constrains answers knows it."""
        self.text_of = lru_cache(maxsize=65_536)(self._text_of)

    def _text_of(self, token_id: int) -> str:
        """Return a token as text, as it looks in the middle of one.

        Decoded after a token that stands in front, since decoders strip what begins
        a text.
        """
        if token_id in self.special_ids:
            return self.tokenizer.id_to_token(token_id) or ""
        anchor = self._anchor
        if anchor is None:
            return self.decode([token_id])
        before, both = self.decode([anchor]), self.decode([anchor, token_id])
        return both.removeprefix(before)

    @property
    def _anchor(self) -> int | None:
        for letter in ("a", "e", "x", "0"):
            found: int | None = self.tokenizer.token_to_id(letter)
            if found is not None:
                return found
        return None

    def bytes_of(self, token_id: int) -> tuple[int, ...] | None:
        """Return the bytes of a token; None where it is only part of a character.

        Byte-level tokenizers name bytes by letters; theirs are exact always.
        """
        text = self.text_of(token_id)
        if REPLACEMENT not in text:
            return tuple(text.encode())
        name = self.tokenizer.id_to_token(token_id) or ""
        letters = byte_letters()
        if all(letter in letters for letter in name):
            return tuple(letters[letter] for letter in name)
        return None

    def decode(self, ids: list[int]) -> str:
        """Return ids as text, without special tokens."""
        shown = [one for one in ids if one not in self.special_ids]
        text: str = self.tokenizer.decode(shown, skip_special_tokens=False)
        return text


@lru_cache(maxsize=1)
def byte_letters() -> dict[str, int]:
    """Return letter → byte of byte-level BPE (GPT-2's table)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(kept)]
    table = {chr(byte): byte for byte in kept}
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}


class TextStream:
    """Text that grows by tokens: whole characters only, and no stop sequence.

    `push` returns what may be shown. Text that could be the beginning of a stop
    sequence, or of a character, is held back until the next token tells.
    """

    def __init__(self, vocabulary: Vocabulary, stops: tuple[str, ...] = ()) -> None:
        """Begin an empty text."""
        self.vocabulary = vocabulary
        self.stops = stops
        self.stop = ""
        """The stop sequence that was met."""
        self._ids: list[int] = []
        self._shown = ""
        """What the ids of the window already gave."""
        self._held = ""
        self._num_partial = 0
        """Tokens since the last whole character."""

    def push(self, token_id: int) -> str:
        """Take one more token; return what it allows to be shown."""
        if token_id in self.vocabulary.special_ids:
            return ""
        self._ids.append(token_id)
        text = self.vocabulary.decode(self._ids)
        self._num_partial += 1
        if text.endswith(REPLACEMENT) and self._num_partial < MOST_PARTIAL:
            return ""
        self._num_partial = 0
        added = text[len(self._shown) :]
        self._shown = text
        if len(self._ids) >= WINDOW:
            # The last tokens stay: they tell the decoder what stands in front.
            self._ids = self._ids[-WINDOW // 4 :]
            self._shown = self.vocabulary.decode(self._ids)
        self._held += added
        return self._release()

    def flush(self) -> str:
        """Return what was held back; the text is over."""
        if self.stop:
            return ""
        text = self.vocabulary.decode(self._ids)
        rest, self._held = self._held + text[len(self._shown) :], ""
        self._shown = text
        return rest

    def _release(self) -> str:
        """Return what of the held text no stop sequence can begin in."""
        met = [
            (place, stop)
            for stop in self.stops
            if (place := self._held.find(stop)) >= 0
        ]
        if met:
            place, self.stop = min(met)
            before, self._held = self._held[:place], ""
            return before
        keep = max(
            (
                size
                for stop in self.stops
                for size in range(1, len(stop))
                if self._held.endswith(stop[:size])
            ),
            default=0,
        )
        cut = len(self._held) - keep
        free, self._held = self._held[:cut], self._held[cut:]
        return free


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """Return the vocabulary of a tokenizer as transformers loads it."""
    inner: Tokenizer = tokenizer.backend_tokenizer
    added = inner.get_added_tokens_decoder()
    special = {one for one, token in added.items() if token.special}
    return Vocabulary(inner, frozenset(special))


def told(vocabulary: Vocabulary, choice: Choice) -> TokenTold:
    """Return a chosen token as the wire tells it."""
    return TokenTold.model_construct(
        id=choice.id,
        text=vocabulary.text_of(choice.id),
        bytes=vocabulary.bytes_of(choice.id),
        logprob=choice.logprob,
        entropy=choice.entropy,
        top=tuple(
            (one, vocabulary.text_of(one), logprob) for one, logprob in choice.top
        ),
    )
