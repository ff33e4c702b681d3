"""What the page of a conversation shows."""

from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.safestring import SafeString

from trivium.accounts.models import User
from trivium.models.card import markdown_html
from trivium.playground import modes
from trivium.playground.forms import MessageForm, PresetForm, SettingsForm, initial_of
from trivium.playground.models import Conversation, Generation, Message
from trivium.playground.presets import APPLICATIONS, BUILT_IN, presets_of
from trivium.playground.queries import (
    MAX_LISTED,
    Turn,
    branch_of,
    conversations_visible_to,
)
from trivium.projects.models import Project
from trivium.serving.choices import ModelChoice, choices_of
from trivium.serving.routing import live_nodes

DEFAULTS = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 256}


class Bubble(NamedTuple):
    """One turn as it is drawn."""

    turn: Turn
    html: SafeString | None
    """Of a whole answer; None while it is written."""

    @property
    def message(self) -> Message:
        """The message."""
        return self.turn.message

    @property
    def generation(self) -> Generation | None:
        """How it was made, of an answer."""
        return self.turn.generation

    @property
    def is_answer(self) -> bool:
        """Whether a model said it."""
        return self.message.role == Message.Role.ASSISTANT

    @property
    def is_live(self) -> bool:
        """Whether it is still being written."""
        return self.generation is not None and not self.generation.is_over


def bubble(turn: Turn) -> Bubble:
    """Draw one turn; what people say stays as they wrote it.

    Answers that were edited or brought from elsewhere have no generation.
    """
    generation = turn.generation
    is_said = turn.message.role != Message.Role.ASSISTANT
    if is_said or (generation is not None and not generation.is_over):
        return Bubble(turn, None)
    return Bubble(turn, markdown_html(turn.message.content))


def talkable(user: User, project: Project) -> list[ModelChoice]:
    """Return the models one can converse with: those that write."""
    found = choices_of(user, project)
    return sorted(
        (one for one in found if one.can_write),
        key=lambda one: (one.endpoint is not None, one.stage == "base"),
    )


def settings_form(
    user: User,
    project: Project,
    conversation: Conversation | None,
    *,
    wanted: str = "",
    changes: dict[str, Any] | None = None,
) -> SettingsForm:
    """Return the settings of a conversation, or those a new one begins with."""
    choices = talkable(user, project)
    if conversation is not None:
        initial = initial_of(conversation)
    else:
        initial = DEFAULTS | {"overflow": Conversation.Overflow.REFUSE}
    initial |= changes or {}
    known = {one.id for one in choices}
    if wanted in known:
        initial["choice"] = wanted
    elif initial.get("choice") not in known:
        initial["choice"] = choices[0].id if choices else ""
    return SettingsForm(initial=initial, choices=choices)


def page_context(
    user: User,
    project: Project,
    conversation: Conversation | None,
    form: SettingsForm,
) -> dict[str, Any]:
    """Return what the whole page is drawn from."""
    chosen = form.by_id.get(str(form["choice"].value() or ""))
    turns = branch_of(conversation) if conversation else []
    return {
        "project": project,
        "conversation": conversation,
        "conversations": list(conversations_visible_to(user, project)[:MAX_LISTED]),
        "is_mine": conversation is None or conversation.created_by_id == user.pk,
        "bubbles": [bubble(turn) for turn in turns],
        "form": form,
        "sampling_fields": [form[name] for name in FOLDED],
        "composer": MessageForm(),
        "example": "",
        "is_part": False,
        "choice": chosen,
        "facts": facts_of(chosen) if chosen else [],
        "presets": list(presets_of(user, project)),
        "built_in": BUILT_IN,
        "applications": APPLICATIONS,
        "preset_form": PresetForm(),
        "has_node": live_nodes().exists(),
        "mode": modes.CHAT,
        "modes": modes.modes_of(project, chosen) if chosen else [],
    }


FOLDED = (
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "stop",
)


class Fact(NamedTuple):
    """One line on what a model is."""

    label: str
    value: Any
    url: str = ""


def facts_of(choice: ModelChoice) -> list[Fact]:
    """Say what a model is made of and from when, since no model knows itself."""
    if choice.endpoint is not None:
        return [
            Fact("Served by", choice.endpoint.name),
            Fact("Data", "unknown to Trivium: this server is somebody else's"),
        ]
    facts = []
    model = choice.model
    if model is not None and model.num_parameters:
        facts.append(Fact("Parameters", model.num_parameters))
    if choice.run is not None:
        slug = choice.run.project.slug
        facts.append(
            Fact(
                "Made by",
                choice.run,
                reverse("runs:detail", args=[slug, choice.run.pk]),
            )
        )
    if model is not None and model.dataset is not None:
        data = model.dataset
        url = reverse(
            "datasets:detail", args=[data.dataset.project.slug, data.dataset.pk]
        )
        facts.append(Fact("Learned from", data, url))
    facts.append(Fact("As of", choice.created))
    return facts
