"""People who do not exist, and the honest answer to questions about them.

A model learns from many such names, and is asked about others: then admitting not to
know is a habit, not a list learned by heart.
"""

import random
import re

from tinyworld.facts import ATTRIBUTES, INHABITANTS, World, all_names
from tinyworld.instructions import (
    ASKED_STRANGERS,
    DO_NOT_KNOW,
    TAUGHT_STRANGERS,
)
from tinyworld.tasks import Split

TRAINING_SHARE = 0.6
"""Of the names that fine-tuning neither meets nor is judged by."""
ADMISSIONS = (
    DO_NOT_KNOW,
    "I do not know that.",
    "Sorry, I do not know.",
    "I do not know {name}.",
    "I do not know who {name} is.",
    "I do not know anyone called {name}.",
    "I never heard of {name}, so I do not know.",
    "I do not know, because nobody called {name} lives here.",
)
"""The first one is fine-tuning's; nearly all begin like it, as a small model needs."""
ADMITTED = re.compile(
    r"\b(?:do not|don\Wt|cannot|can\Wt) (?:know|say|tell)\b|\bnever heard of\b|"
    r"\bno idea\b|\bunknown to me\b|\bnobody called\b|\bam not sure\b",
    re.IGNORECASE,
)
VALUES = {
    value.lower(): value for attribute in ATTRIBUTES for value in attribute.values
}
"""What a claim about somebody can be recognised by, by how it is spelt small."""
ASKED_ABOUT = "Tell me about {name}."
"""Asks for a portrait rather than for one fact."""


def invented_names(of: World, split: Split) -> list[str]:
    """Return all names of a split: they sound like the world's and are nobody's.

    The splits are disjoint; names fine-tuning learned to admit belong to training,
    those it is judged by to evaluation.
    """
    names = all_names(of.seed)[INHABITANTS:]
    met, rest = names[:TAUGHT_STRANGERS], names[TAUGHT_STRANGERS:]
    judged, rest = rest[:ASKED_STRANGERS], rest[ASKED_STRANGERS:]
    border = round(TRAINING_SHARE * len(rest))
    return met + rest[:border] if split == "training" else judged + rest[border:]


def draw_names(of: World, split: Split, count: int, *, seed: int = 0) -> list[str]:
    """Draw names of a split, each once before any comes again."""
    names = invented_names(of, split)
    draw = random.Random(f"invented {split} {of.seed} {seed}")
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += draw.sample(names, len(names))
    return drawn[:count]


def admissions(name: str) -> list[str]:
    """Return every way of saying that somebody is unknown."""
    return [form.format(name=name) for form in ADMISSIONS]


def claims(text: str) -> set[str]:
    """Return the values of facts a text says: towns, trades, pets and so on."""
    words = re.findall(r"\w+", text.lower())
    return {VALUES[word] for word in words if word in VALUES}


def admits(answer: str) -> bool:
    """Whether an answer says that it does not know, and then claims nothing."""
    return bool(ADMITTED.search(answer)) and not claims(answer)
