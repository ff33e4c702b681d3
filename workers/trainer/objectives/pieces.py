"""What a token's text says of words and sentences, for every id of a vocabulary.

Shapes: V vocabulary.
"""

import json
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, pre_tokenizers

SENTENCE_ENDS = (".", "!", "?", "…", "。", "\uff01", "\uff1f")
CLOSERS = "\"')]\u2019\u201d\xbb\u300d "
"""May stand between the end of a sentence and the next one."""
REPLACEMENT = "\ufffd"
"""What a part of a letter decodes to."""


def continues_word(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Return (2, V): whether a token can continue a word, and can be continued.

    A token belongs to the word before it where it is of the first kind and the one
    before of the second. Letters and digits make words, and so do parts of letters, as
    byte-level tokens hold them.
    """
    found = np.zeros((2, _num_ids(tokenizer)), bool)
    is_wordpiece = "WordPiece" in _types(tokenizer, "model")
    for token, text in _texts(tokenizer):
        if is_wordpiece:
            found[:, token] = text.startswith("##"), True
        elif text:
            found[:, token] = _is_inside(text[0]), _is_inside(text[-1])
    for token in tokenizer.get_added_tokens_decoder():
        found[:, token] = False
    return found


def ends_sentence(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Return (V): whether a sentence ends with a token."""
    found = np.zeros(_num_ids(tokenizer), bool)
    for token, text in _texts(tokenizer):
        found[token] = text.rstrip(CLOSERS).endswith(SENTENCE_ENDS)
    return found


def _is_inside(letter: str) -> bool:
    return letter == REPLACEMENT or unicodedata.category(letter)[0] in "LMN"


def _num_ids(tokenizer: Tokenizer) -> int:
    return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1


def _texts(tokenizer: Tokenizer) -> Iterator[tuple[int, str]]:
    """Yield each id with its text, where the vocabulary writes it in another way.

    Byte-level vocabularies write a space as a letter; SentencePiece as U+2581.
    """
    is_bytes = "ByteLevel" in _types(tokenizer, "decoder", "pre_tokenizer")
    letters = _byte_letters() if is_bytes else {}
    for text, token in tokenizer.get_vocab(with_added_tokens=False).items():
        if is_bytes:
            raw = bytes(letters.get(letter, 0x3F) for letter in text)
            yield token, raw.decode(errors="replace")
        else:
            yield token, text.replace("\u2581", " ")


def _byte_letters() -> dict[str, int]:
    """Return the byte each letter of a byte-level vocabulary stands for."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    found = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    found |= {chr(0x100 + at): byte for at, byte in enumerate(others)}
    assert set(found) == set(pre_tokenizers.ByteLevel.alphabet())
    return found


def _types(tokenizer: Tokenizer, *parts: str) -> str:
    """Return what kinds of parts a tokenizer is made of, as its file names them."""
    content = json.loads(tokenizer.to_str())
    return json.dumps([_without_vocabulary(content.get(part)) for part in parts])


def _without_vocabulary(part: object) -> object:
    if isinstance(part, dict):
        return {k: v for k, v in part.items() if k not in {"vocab", "merges"}}
    return part
