"""Masked language modelling, as BERT does it (https://arxiv.org/abs/1810.04805).

Of the tokens chosen, 80 % become the mask, 10 % a random token, 10 % stay; all are
asked for. RoBERTa's reading of it: full windows that cross documents, other masks each
time, no next-sentence task (https://arxiv.org/abs/1907.11692).

Shapes: B sequences, T context, R tokens of text, U random numbers of a row.
"""

import numpy as np
from numpy.typing import NDArray
from runspec.sizing import LABELLED_ROOM

from trainer.forward import IGNORED
from trainer.special_tokens import SpecialTokens

MASKED, RANDOM = 0.8, 0.1
"""Shares of the chosen tokens; the rest stays."""
FRAME = 2
"""The tokens around the text."""


class Masking:
    """Hides a fixed share of each row's tokens."""

    def __init__(
        self,
        context: int,
        special: SpecialTokens,
        *,
        share: float,
        text_ids: NDArray[np.int64],
        continues_word: NDArray[np.bool_] | None,
    ) -> None:
        self.context = context
        self.special = special
        assert special.mask is not None
        self.mask = special.mask
        self.share = share
        self.text_ids = text_ids
        """What a random token is taken from."""
        self.continues_word = continues_word
        """For pairs of kinds of tokens; None masks each token on its own."""

    @property
    def raw_tokens(self) -> int:
        """Tokens of text in one row."""
        return self.context - FRAME

    def num_uniforms(self, raw_tokens: int) -> int:
        """For each token: when it is its turn, what becomes of it, and which else."""
        return 3 * raw_tokens

    def corrupt(
        self, raw_BR: NDArray[np.int64], uniforms_BU: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return framed rows with some tokens hidden, and labels for those alone."""
        turn_BR, fate_BR, other_BR = np.split(uniforms_BU, 3, axis=1)
        chosen_BR = self.choose(raw_BR, turn_BR)
        random_BR = self.text_ids[(other_BR * len(self.text_ids)).astype(np.int64)]
        shown_BR = np.where(fate_BR < MASKED + RANDOM, random_BR, raw_BR)
        shown_BR = np.where(fate_BR < MASKED, self.mask, shown_BR)
        B, R = raw_BR.shape
        inputs_BT = np.empty((B, R + FRAME), np.int64)
        inputs_BT[:, 0] = self.special.start
        inputs_BT[:, -1] = self.special.close
        inputs_BT[:, 1:-1] = np.where(chosen_BR, shown_BR, raw_BR)
        labels_BT = np.full((B, R + FRAME), IGNORED, np.int64)
        labels_BT[:, 1:-1] = np.where(chosen_BR, raw_BR, IGNORED)
        return inputs_BT, labels_BT

    def choose(
        self, raw_BR: NDArray[np.int64], turn_BR: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Return which tokens are asked for: words, or tokens, in a random order.

        The tokens of a word share its first one's turn, and so stand together in that
        order. The word in which the share is reached counts if most of it fits.
        """
        is_text_BR = raw_BR != self.special.end
        word_BR = self._words(raw_BR)
        first_BR = np.take_along_axis(turn_BR, word_BR, axis=1)
        order_BR = np.argsort(
            np.where(is_text_BR, first_BR, 2.0), axis=1, kind="stable"
        )
        place_BR = np.empty_like(order_BR)
        np.put_along_axis(place_BR, order_BR, np.arange(raw_BR.shape[1])[None], axis=1)
        wanted_B1 = np.maximum(
            np.rint(self.share * is_text_BR.sum(axis=1, keepdims=True)), 1
        )
        chosen_BR: NDArray[np.bool_] = is_text_BR & (place_BR < wanted_B1)
        if self.continues_word is None:
            return chosen_BR

        # Places of a word's first and last token, from those of its tokens.
        B, R = raw_BR.shape
        rows_BR = np.arange(B)[:, None] * R + word_BR
        length_BR = np.bincount(rows_BR.ravel(), minlength=B * R)[rows_BR]
        begin_BR = np.take_along_axis(place_BR, word_BR, axis=1)
        middle_BR = begin_BR + length_BR / 2
        end_BR = begin_BR + length_BR
        room_B1 = np.maximum(LABELLED_ROOM * wanted_B1, wanted_B1 + 1)
        fits_BR = (middle_BR <= wanted_B1) & (end_BR <= room_B1)
        # A row whose first word is longer than all that is wanted: some of it.
        is_none_B1 = ~(fits_BR & is_text_BR).any(axis=1, keepdims=True)
        found_BR: NDArray[np.bool_] = is_text_BR & fits_BR
        found_BR |= is_none_B1 & chosen_BR
        return found_BR

    def _words(self, raw_BR: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each token where its word begins; itself, without words."""
        places_BR = np.broadcast_to(np.arange(raw_BR.shape[1]), raw_BR.shape)
        if self.continues_word is None:
            return places_BR
        joins_BR = np.zeros(raw_BR.shape, bool)
        joins_BR[:, 1:] = self.continues_word[0][raw_BR[:, 1:]]
        joins_BR[:, 1:] &= self.continues_word[1][raw_BR[:, :-1]]
        return np.maximum.accumulate(np.where(joins_BR, 0, places_BR), axis=1)
