"""The spec of a `tokenizer` run."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec.base import Spec, setting

Algorithm = Literal["bpe", "wordpiece", "unigram", "characters", "bytes"]

LEARNED_SIZE: tuple[Algorithm, ...] = ("bpe", "wordpiece", "unigram")
"""Algorithms whose vocabulary size is chosen; the other two follow from the text."""


class TokenizerSpec(Spec):
    """Learn a tokenizer from a dataset's training rows; report it on held-out rows."""

    kind: Literal["tokenizer"] = "tokenizer"
    is_resumable: ClassVar[bool] = False

    dataset: str = setting(
        help="Dataset to learn from.", reference="dataset", kinds=("text",)
    )
    algorithm: Algorithm = setting(
        "bpe",
        label="Algorithm",
        help="Byte-level BPE suits most uses; characters and bytes need no learning "
        "and suit very small models.",
    )
    vocabulary_size: int | None = setting(
        None,
        label="Vocabulary size",
        unit="tokens",
        help="How many tokens to learn, special tokens included; "
        "4,096 where left empty.",
        ge=64,
        le=1_000_000,
    )
    special_tokens: tuple[str, ...] = setting(
        (),
        label="More special tokens",
        help="Tokens never split and never produced from plain text, beside the "
        "ones every tokenizer here has.",
        level="advanced",
        max_length=1000,
    )
    lowercase: bool = setting(
        False,
        label="Lower-case",
        help="Fold letters before learning (WordPiece only).",
        level="advanced",
    )
    min_frequency: int = setting(
        2,
        label="Least frequency",
        unit="occurrences",
        help="A pair seen less often is not merged (BPE and WordPiece).",
        ge=1,
        le=1_000_000,
        level="advanced",
    )
    max_training_characters: int = setting(
        100_000_000,
        label="Text to learn from",
        unit="characters",
        help="Stop reading rows beyond this; a sample teaches as much as the whole.",
        ge=1_000,
        level="advanced",
    )

    @model_validator(mode="after")
    def nothing_is_ignored(self) -> Self:
        """Refuse settings the chosen algorithm would silently ignore."""
        if self.algorithm not in LEARNED_SIZE and self.vocabulary_size is not None:
            raise ValueError(
                f"vocabulary_size does not apply to {self.algorithm}: its vocabulary "
                "follows from the text; leave it empty"
            )
        if self.lowercase and self.algorithm != "wordpiece":
            raise ValueError("lowercase applies to wordpiece only")
        if len(set(self.special_tokens)) != len(self.special_tokens):
            raise ValueError("special_tokens names a token twice")
        if any(not token.strip() for token in self.special_tokens):
            raise ValueError("special_tokens holds an empty token")
        return self
