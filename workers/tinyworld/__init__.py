"""Tiny World: an invented place, small enough for a very small model to know.

Its facts are data; the corpus to pretrain on, the questions to fine-tune on and the
checks of what a model knows are all rendered from them. Only the standard library
is needed.
"""

from tinyworld.corpus import corpus, write_corpus
from tinyworld.facts import Attribute, Fact, World, world
from tinyworld.instructions import (
    DO_NOT_KNOW,
    Instruction,
    held_out,
    instructions,
    strangers,
    write_instructions,
    write_rows,
)
from tinyworld.tasks import (
    Cloze,
    Question,
    cloze,
    completes_rightly,
    declined_requests,
    questions,
    unknown_names,
)

__all__ = [
    "DO_NOT_KNOW",
    "Attribute",
    "Cloze",
    "Fact",
    "Instruction",
    "Question",
    "World",
    "cloze",
    "completes_rightly",
    "corpus",
    "declined_requests",
    "held_out",
    "instructions",
    "questions",
    "strangers",
    "unknown_names",
    "world",
    "write_corpus",
    "write_instructions",
    "write_rows",
]
