"""Span corruption, as T5 does it (https://arxiv.org/abs/1910.10683, section 3.1.4).

Text and spans to cut out take turns. In the input a sentinel stands for each span; the
target names each sentinel and what it stands for.

Shapes: B sequences, T input positions, R tokens of text, S spans, U random numbers of
a row.
"""

import numpy as np
from numpy.typing import NDArray
from runspec.spans import raw_tokens, span_lengths

from trainer.special_tokens import SpecialTokens


class SpanCorruption:
    """Cuts out as many tokens, in as many spans, of every row: shapes never change."""

    def __init__(
        self, context: int, special: SpecialTokens, *, share: float, mean_span: float
    ) -> None:
        self.special = special
        self.share = share
        self.mean_span = mean_span
        self.sentinels_S = np.array(special.sentinels, np.int64)
        self._raw_tokens = raw_tokens(context, share, mean_span)

    @property
    def raw_tokens(self) -> int:
        """Tokens of text in one row."""
        return self._raw_tokens

    def num_uniforms(self, raw_tokens: int) -> int:
        """One for each place where two spans, or two pieces between, can part."""
        return raw_tokens

    def corrupt(
        self, raw_BR: NDArray[np.int64], uniforms_BU: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what is left with sentinels, and the sentinels with what is not."""
        is_noise_BR = self.choose(raw_BR.shape[1], uniforms_BU)
        return (
            self._with_sentinels(raw_BR, is_noise_BR),
            self._with_sentinels(raw_BR, ~is_noise_BR),
        )

    def choose(self, raw: int, uniforms_BU: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which tokens are cut out; a row begins with one that is not."""
        lengths = span_lengths(raw, self.share, self.mean_span)
        noise_BS = _part(lengths.noise, lengths.spans, uniforms_BU[:, : lengths.noise])
        text_BS = _part(
            raw - lengths.noise, lengths.spans, uniforms_BU[:, lengths.noise :]
        )
        turns = np.stack([text_BS, noise_BS], axis=2).ravel()
        is_noise = np.tile([False, True], len(turns) // 2)
        return np.repeat(is_noise, turns).reshape(len(uniforms_BU), raw)

    def _with_sentinels(
        self, raw_BR: NDArray[np.int64], is_hidden_BR: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Replace each hidden piece of a row by the next sentinel; close the row."""
        begins_BR = is_hidden_BR.copy()
        begins_BR[:, 1:] &= ~is_hidden_BR[:, :-1]
        number_BR = np.maximum(begins_BR.cumsum(axis=1) - 1, 0)
        shown_BR = np.where(begins_BR, self.sentinels_S[number_BR], raw_BR)
        # Every row keeps as many, so that they are rows again.
        kept = shown_BR[begins_BR | ~is_hidden_BR].reshape(len(raw_BR), -1)
        end = np.full((len(raw_BR), 1), self.special.end, np.int64)
        return np.concatenate([kept, end], axis=1)


def _part(
    total: int, parts: int, uniforms_BU: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Part `total` into `parts` of one or more, each way as likely (B, S)."""
    B = len(uniforms_BU)
    cuts_BS = np.zeros((B, parts + 1), np.int64)
    chosen = np.argsort(uniforms_BU[:, : total - 1], axis=1)[:, : parts - 1]
    cuts_BS[:, 1:-1] = np.sort(chosen, axis=1) + 1
    cuts_BS[:, -1] = total
    return np.diff(cuts_BS, axis=1)
