"""How T5's span corruption divides a window, in whole numbers.

As in google-research/text-to-text-transfer-transformer: 512 input positions come from
568 tokens of text and give 114 targets, at a share of 0.15 and spans of 3.
"""

from typing import NamedTuple

LEAST_SENTINELS = 100
"""As many as T5 has, however few a window needs."""


class SpanLengths(NamedTuple):
    """What becomes of a window of text."""

    noise: int
    """Tokens that are cut out."""
    spans: int
    inputs: int
    """The tokens left, a sentinel for each span, and the end token."""
    targets: int
    """The tokens cut out, a sentinel before each span, and the end token."""


def span_lengths(raw: int, share: float, mean_span: float) -> SpanLengths:
    """Return how a window of `raw` tokens (two at least) is divided."""
    noise = min(max(round(raw * share), 1), raw - 1)
    spans = min(max(round(noise / mean_span), 1), noise, raw - noise)
    return SpanLengths(noise, spans, raw - noise + spans + 1, noise + spans + 1)


def raw_tokens(inputs: int, share: float, mean_span: float) -> int:
    """Return the longest window that becomes at most `inputs` input positions."""
    raw = 2
    while span_lengths(raw + 1, share, mean_span).inputs <= inputs:
        raw += 1
    return raw


def num_sentinels(inputs: int, share: float, mean_span: float) -> int:
    """Return how many sentinels windows of this length need a tokenizer to have."""
    lengths = span_lengths(raw_tokens(inputs, share, mean_span), share, mean_span)
    return max(LEAST_SENTINELS, lengths.spans)
