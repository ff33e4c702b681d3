"""Settings for the applications people use language models for."""

from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from trivium.accounts.models import User
from trivium.playground.models import Preset
from trivium.projects.models import Project

APPLICATIONS = {
    "writing": "Writing",
    "code": "Code",
    "analysis": "Analysis",
    "conversation": "Conversation",
    "translation": "Translation",
    "research": "Research",
}


class BuiltIn(NamedTuple):
    """A preset that comes with Trivium."""

    application: str
    system: str
    example: str
    sampling: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called."""
        return APPLICATIONS[self.application]


BUILT_IN = (
    BuiltIn(
        "writing",
        "You are a writer with an ear for rhythm. Write vividly and plainly, keep to "
        "the form you are asked for, and avoid worn phrases.",
        "Write the first paragraph of a story about a lighthouse keeper who finds a "
        "letter addressed to him in his own hand.",
        {"temperature": 1.0, "top_p": 0.95},
    ),
    BuiltIn(
        "code",
        "You are an experienced programmer. Answer with working code first, in one "
        "block, then say in a sentence or two why it is right and where it is not.",
        "Write a Python function that returns the longest word of a text.",
        {"temperature": 0.2, "top_p": 0.95},
    ),
    BuiltIn(
        "analysis",
        "You take texts apart. Say what is claimed, what supports it, and what does "
        "not follow; keep facts and opinion apart, and be brief.",
        "“Sales of umbrellas rose after we moved our shop, so the new place is "
        "better.” What is wrong with this?",
        {"temperature": 0.3, "top_p": 0.9},
    ),
    BuiltIn(
        "conversation",
        "You are good company: friendly, curious and short. Ask back when something "
        "is unclear.",
        "Hello! What shall we talk about?",
        {"temperature": 0.8, "top_p": 0.95},
    ),
    BuiltIn(
        "translation",
        "Translate what you are given, into English unless another language is named. "
        "Give the translation alone; keep names, numbers and line breaks as they are.",
        "Der frühe Vogel fängt den Wurm.",
        {"temperature": 0.0},
    ),
    BuiltIn(
        "research",
        "You help with research. Give what is known, how sure it is, and what one "
        "would have to look up; never invent a source, and say when you do not know.",
        "What would I have to measure to know whether a new medicine works?",
        {"temperature": 0.4, "top_p": 0.9},
    ),
)


def presets_of(user: User, project: Project) -> QuerySet[Preset]:
    """Return the presets somebody made that `user` may use."""
    return (
        Preset.objects.filter(Q(created_by=user) | Q(is_shared=True), project=project)
        .select_related("created_by")
        .order_by("name", "pk")
    )
