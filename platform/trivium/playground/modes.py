"""What one can do with a model, by its architecture."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from trivium.accounts.models import User
from trivium.projects.models import Project
from trivium.serving.choices import ModelChoice, choices_of

CHAT, COMPLETE, FILL, REWRITE, SCORE = "chat", "complete", "fill", "rewrite", "score"
LABELS = {
    CHAT: "Chat",
    COMPLETE: "Complete text",
    FILL: "Fill masks",
    REWRITE: "Text to text",
    SCORE: "Score texts",
}
ADDRESSES = {
    CHAT: "playground:home",
    COMPLETE: "playground:complete",
    FILL: "playground:fill",
    REWRITE: "playground:rewrite",
    SCORE: "playground:score",
}
GROUPS = {
    "decoder": "Write on (decoders)",
    "encoder": "Understand text (encoders)",
    "encoder-decoder": "Rewrite text (encoder-decoders)",
}


@dataclass(frozen=True)
class Mode:
    """One way to use a model, and the page for it."""

    name: str
    label: str
    url: str


def names_of(choice: ModelChoice) -> tuple[str, ...]:
    """Return what a model can be used for, the most likely wish first."""
    if choice.has_score_head:
        return (SCORE,)
    if choice.architecture == "encoder":
        return (FILL,)
    if choice.architecture == "encoder-decoder":
        return (REWRITE, CHAT)
    # What was only pretrained goes on with a text; it was never taught to converse.
    return (CHAT, COMPLETE) if choice.is_chat else (COMPLETE, CHAT)


def modes_of(project: Project, choice: ModelChoice) -> list[Mode]:
    """Return the entries of the mode switch for a model."""
    names = names_of(choice)
    return [mode(project, name, choice) for name in LABELS if name in names]


def mode(project: Project, name: str, choice: ModelChoice) -> Mode:
    """Return one way to use a model."""
    address = reverse(ADDRESSES[name], args=[project.slug])
    return Mode(name, LABELS[name], f"{address}?{urlencode({'model': choice.id})}")


def fitting(user: User, project: Project, name: str) -> list[ModelChoice]:
    """Return the models of a project that can be used in one way, newest first."""
    return [one for one in choices_of(user, project) if name in names_of(one)]


def grouped(choices: list[ModelChoice]) -> list[tuple[str, list[ModelChoice]]]:
    """Return choices by architecture, for a select."""
    return [
        (label, found)
        for architecture, label in GROUPS.items()
        if (found := [one for one in choices if one.architecture == architecture])
    ]
