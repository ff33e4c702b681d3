"""Denoising, as BART does it (https://arxiv.org/abs/1910.13461, section 2.2).

Sentences are shuffled, then spans of Poisson lengths each become one mask, and a span
of none inserts one. The target is the text as it was.

Shapes: B sequences, T context, R tokens of text, G gaps between kept tokens, U random
numbers of a row.
"""

import math

import numpy as np
from numpy.typing import NDArray

from trainer.special_tokens import SpecialTokens

FRAME = 2
"""The tokens around the text."""
MAX_SPAN = 64
"""Longer spans are as good as impossible, or cut to this."""


class Denoising:
    """Hides a fixed share of each row's tokens; inputs are filled up with padding."""

    def __init__(
        self,
        context: int,
        special: SpecialTokens,
        *,
        share: float,
        mean_span: float,
        ends_sentence: NDArray[np.bool_] | None,
    ) -> None:
        self.context = context
        self.special = special
        assert special.mask is not None
        self.mask = special.mask
        self.share = share
        self.ends_sentence = ends_sentence
        """For each id; None leaves sentences where they are."""
        # How likely a span of at most so many tokens is.
        most = max(MAX_SPAN, int(3 * mean_span))
        logs = np.array(
            [
                k * math.log(mean_span) - mean_span - math.lgamma(k + 1)
                for k in range(most)
            ]
        )
        self._up_to = np.exp(logs).cumsum()

    @property
    def raw_tokens(self) -> int:
        """Tokens of text in one row."""
        return self.context - FRAME

    def num_uniforms(self, raw_tokens: int) -> int:
        """For each token: its sentence's turn; for each gap: its turn, and a length."""
        return raw_tokens + 2 * (self._num_kept(raw_tokens) + 1)

    def corrupt(
        self, raw_BR: NDArray[np.int64], uniforms_BU: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return framed rows with gaps, out of order, and the whole rows."""
        B, R = raw_BR.shape
        turn_BR, turn_BG, length_BG = np.split(
            uniforms_BU, [R, R + self._num_kept(R) + 1], axis=1
        )
        source_BR = raw_BR
        if self.ends_sentence is not None:
            source_BR = np.take_along_axis(raw_BR, self.shuffle(raw_BR, turn_BR), 1)
        inputs_BT = np.full((B, R + FRAME), self.special.pad, np.int64)
        used_B = self._infill(source_BR, turn_BG, length_BG, inputs_BT[:, 1:])
        inputs_BT[:, 0] = self.special.start
        inputs_BT[np.arange(B), 1 + used_B] = self.special.end
        targets_BT = np.empty((B, R + FRAME), np.int64)
        targets_BT[:, 0] = self.special.start
        targets_BT[:, 1:-1] = raw_BR
        targets_BT[:, -1] = self.special.end
        return inputs_BT, targets_BT

    def shuffle(
        self, raw_BR: NDArray[np.int64], turn_BR: NDArray[np.float32]
    ) -> NDArray[np.int64]:
        """Return an order in which the sentences of each document change places."""
        assert self.ends_sentence is not None
        is_end_BR = raw_BR == self.special.end
        closes_BR = self.ends_sentence[raw_BR] | is_end_BR
        sentence_BR = np.zeros(raw_BR.shape, np.int64)
        sentence_BR[:, 1:] = closes_BR[:, :-1].cumsum(axis=1)
        document_BR = np.zeros(raw_BR.shape, np.int64)
        document_BR[:, 1:] = is_end_BR[:, :-1].cumsum(axis=1)
        # The end of a document stays last in it.
        turn_BR = np.take_along_axis(turn_BR, sentence_BR, axis=1)
        key_BR = document_BR + np.where(is_end_BR, 1.0, turn_BR).astype(np.float64)
        return np.argsort(key_BR, axis=1, kind="stable")

    def spans(self, length_BG: NDArray[np.float32], hidden: int) -> NDArray[np.int64]:
        """Return lengths of spans, in the order drawn, that hide so many tokens.

        -1 stands for no span. The last is as long as what is left to hide.
        """
        drawn_BG = np.searchsorted(self._up_to, length_BG, side="right")
        drawn_BG = np.minimum(drawn_BG, len(self._up_to) - 1)
        drawn_BG[:, hidden:] = -1  # or masks might outnumber what they hide
        before_BG = np.maximum(drawn_BG, 0).cumsum(axis=1) - np.maximum(drawn_BG, 0)
        lengths_BG = np.minimum(drawn_BG, hidden - before_BG)
        lengths_BG[before_BG >= hidden] = -1
        # Where so many were not enough, the last one makes up for it.
        rows_B = np.arange(len(lengths_BG))
        last_B = (lengths_BG >= 0).sum(axis=1) - 1
        lengths_BG[rows_B, last_B] += hidden - np.maximum(lengths_BG, 0).sum(axis=1)
        found: NDArray[np.int64] = lengths_BG
        return found

    def _num_kept(self, raw_tokens: int) -> int:
        return raw_tokens - self._num_hidden(raw_tokens)

    def _num_hidden(self, raw_tokens: int) -> int:
        return min(max(round(self.share * raw_tokens), 1), raw_tokens - 1)

    def _infill(
        self,
        source_BR: NDArray[np.int64],
        turn_BG: NDArray[np.float32],
        length_BG: NDArray[np.float32],
        out_BT: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Write each row with masks for spans; return how many tokens that made.

        Spans lie in gaps of their own between the kept tokens, each choice of gaps as
        likely: the gap whose turn is n-th holds the n-th span.
        """
        B, R = source_BR.shape
        num_kept = self._num_kept(R)
        spans_BG = self.spans(length_BG, R - num_kept)
        turn_of_gap_BG = np.argsort(np.argsort(turn_BG, axis=1), axis=1)
        length_of_gap_BG = np.take_along_axis(spans_BG, turn_of_gap_BG, axis=1)
        has_mask_BG = length_of_gap_BG >= 0
        hidden_BG = np.maximum(length_of_gap_BG, 0).cumsum(axis=1)
        masks_BG = has_mask_BG.cumsum(axis=1)
        kept = np.arange(num_kept)
        rows_B1 = np.arange(B)[:, None]
        out_BT[rows_B1, kept + masks_BG[:, :-1]] = np.take_along_axis(
            source_BR, kept + hidden_BG[:, :-1], axis=1
        )
        row, gap = np.nonzero(has_mask_BG)
        out_BT[row, gap + masks_BG[row, gap] - 1] = self.mask
        used_B: NDArray[np.int64] = num_kept + masks_BG[:, -1]
        return used_B
