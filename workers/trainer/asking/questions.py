"""What is asked, and what came back."""

import hashlib
from dataclasses import dataclass

from runspec.labels import Answer, Line
from runspec.serving import Prompt, Sampling

SEED_BITS = 31
"""Every server takes seeds of this size."""


@dataclass(frozen=True)
class Question:
    """One prompt for one answerer."""

    number: int
    """Which of all it is, from 0."""
    prompt: Prompt
    sampling: Sampling
    """With its seed."""


class Reply(Line):
    """What came of a question: an answer, or a sentence that says why there is none."""

    number: int
    answer: Answer | None = None
    error: str = ""
    tokens: int = 0
    rendered_sha256: str = ""
    """Of the prompt as the model saw it; of what was sent, where it runs elsewhere."""
    spent_s: float = 0.0
    """Time since the reply before it in the same part, or since the model was there."""


def seed_of(base: int | str, number: int, answerer: int) -> int:
    """Return the seed of one answer: the same whenever it is asked for again."""
    digest = hashlib.sha256(f"{base}/{number}/{answerer}".encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - SEED_BITS)


def sha256_of(text: str) -> str:
    """Return the hash of a text, which may hold halves of surrogate pairs."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
