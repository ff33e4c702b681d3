"""Answers that must be JSON: which tokens may come next, by llguidance."""

from typing import Any

import llguidance
import llguidance.numpy as bitmasks
import numpy as np
import torch
from runspec.serving import ResponseFormat
from torch import Tensor

from inference.sequence import Sequence
from inference.vocabulary import Vocabulary

ANY_OBJECT = {"type": "object"}
LIMITED_SPACE = {"whitespace_pattern": r"[ \n\t]{0,12}"}
"""Between the parts of an answer: room to indent, and an end to it."""


class Constraint:
    """A grammar, and how far an answer has come in it."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:
        """Begin at the first token."""
        self.matcher = matcher
        self.vocab_size = vocab_size
        self._bits = bitmasks.allocate_token_bitmask(1, vocab_size)

    def mask(self) -> Tensor:
        """Return which tokens may come next (true: may)."""
        bitmasks.fill_next_token_bitmask(self.matcher, self._bits, 0)
        bits = np.unpackbits(self._bits[0].view(np.uint8), bitorder="little")
        return torch.from_numpy(bits[: self.vocab_size]).bool()

    def accept(self, token_id: int) -> bool:
        """Take a token; True where nothing may follow it."""
        self.matcher.consume_token(token_id)
        return bool(self.matcher.is_stopped())


def constrain(sequence: Sequence, vocabulary: Vocabulary) -> Constraint | None:
    """Return what the sequence's `response_format` asks for, if anything.

    An answer that is gone on with is taken in.

    Raises:
        ValueError: the schema cannot be kept, or not with this tokenizer.
    """
    wanted = sequence.sampling.response_format
    if wanted is None:
        return None
    if not sequence.eos_ids:
        raise ValueError(
            "this model has no end token, so it could never end a JSON answer"
        )
    tokenizer = _tokenizer(vocabulary, min(sequence.eos_ids))
    matcher = llguidance.LLMatcher(tokenizer, _grammar(wanted))
    if matcher.is_error():
        raise ValueError(f"json_schema cannot be kept: {matcher.get_error()}")
    constraint = Constraint(matcher, tokenizer.vocab_size)
    for token_id in sequence.answer_ids:
        constraint.accept(token_id)
    return constraint


def _grammar(wanted: ResponseFormat) -> Any:
    schema = wanted.json_schema if wanted.type == "json_schema" else ANY_OBJECT
    return llguidance.LLMatcher.grammar_from_json_schema(
        schema or ANY_OBJECT, overrides=LIMITED_SPACE
    )


def _tokenizer(vocabulary: Vocabulary, eos_id: int) -> Any:
    """Return the tokenizer as llguidance knows it; built once."""
    if vocabulary.for_grammars is None:
        inner = vocabulary.tokenizer
        try:
            vocabulary.for_grammars = llguidance.LLTokenizer(
                inner.to_str(), n_vocab=inner.get_vocab_size(), eos_token=eos_id
            )
        except Exception as error:
            raise ValueError(
                f"this model's tokenizer does not serve for JSON answers: {error}"
            ) from error
    return vocabulary.for_grammars
