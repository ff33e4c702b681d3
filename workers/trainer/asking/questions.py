"""What is asked, and what came back."""

import hashlib
from dataclasses import dataclass

from runspec.labels import Answer, Line, Messages
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
    """What came of a question: an answer, a score, or why there is neither."""

    number: int
    answer: Answer | None = None
    score: float | None = None
    """Of a model that scores instead of writing."""
    error: str = ""
    tokens: int = 0
    rendered_sha256: str = ""
    """Of the prompt as the model saw it; of what was sent, where it runs elsewhere."""
    spent_s: float = 0.0
    """Time since the reply before it in the same part, or since the model was there."""

    @property
    def is_failed(self) -> bool:
        """Whether nothing came of the question."""
        return bool(self.error)


def seed_of(base: int | str, number: int, answerer: int) -> int:
    """Return the seed of one answer: the same whenever it is asked for again."""
    digest = hashlib.sha256(f"{base}/{number}/{answerer}".encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - SEED_BITS)


def fold_system(messages: Messages) -> Messages:
    """Return messages whose system's words are the first lines of the user's turn."""
    if [message["role"] for message in messages[:2]] != ["system", "user"]:
        return messages
    system, user, *others = messages
    folded = f"{system['content']}\n\n{user['content']}"
    return [{**user, "content": folded}, *others]


def sha256_of(text: str) -> str:
    """Return the hash of a text, which may hold halves of surrogate pairs."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
