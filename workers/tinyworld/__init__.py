"""Tiny World: an invented place, small enough for a very small model to know.

Its facts are data; the corpus to pretrain on, the questions to fine-tune on, the
preferences to align with and the checks of what a model knows are all rendered from
them. Only the standard library
is needed.
"""

from tinyworld.corpus import corpus, write_corpus
from tinyworld.facts import Attribute, Fact, World, world
from tinyworld.harm import declines, harmful_requests
from tinyworld.instructions import (
    DECLINE,
    DO_NOT_KNOW,
    Instruction,
    held_out,
    instructions,
    strangers,
    write_instructions,
    write_rows,
)
from tinyworld.invented import admits, invented_names
from tinyworld.judging import Count, Judge, Quality, Scores
from tinyworld.labelers import Labeler, ShownPair, SimulatedVote, shown, voted
from tinyworld.preferences import Pair, preferences, write_preferences
from tinyworld.prompts import Prompt, prompts, write_prompts
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
    "DECLINE",
    "DO_NOT_KNOW",
    "Attribute",
    "Cloze",
    "Count",
    "Fact",
    "Instruction",
    "Judge",
    "Labeler",
    "Pair",
    "Prompt",
    "Quality",
    "Question",
    "Scores",
    "ShownPair",
    "SimulatedVote",
    "World",
    "admits",
    "cloze",
    "completes_rightly",
    "corpus",
    "declined_requests",
    "declines",
    "harmful_requests",
    "held_out",
    "instructions",
    "invented_names",
    "preferences",
    "prompts",
    "questions",
    "shown",
    "strangers",
    "unknown_names",
    "voted",
    "world",
    "write_corpus",
    "write_instructions",
    "write_preferences",
    "write_prompts",
    "write_rows",
]
