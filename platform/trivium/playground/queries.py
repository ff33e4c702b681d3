"""Whose conversations one sees, and how a tree of messages is shown."""

from typing import NamedTuple

from django.db.models import Q, QuerySet
from django.http import Http404

from trivium.accounts.models import User
from trivium.playground.models import Conversation, Generation, Message
from trivium.projects.models import Project, Role
from trivium.projects.queries import projects_visible_to, projects_with_role

MAX_LISTED = 200


class Turn(NamedTuple):
    """A message of the branch that is shown, and where it stands among its versions."""

    message: Message
    generation: Generation | None
    versions: list[int]
    """Ids of the messages that stand in the same place, oldest first."""

    @property
    def place(self) -> int:
        """Which version is shown, from 1."""
        return self.versions.index(self.message.pk) + 1

    @property
    def previous(self) -> int | None:
        """The version before."""
        return self.versions[self.place - 2] if self.place > 1 else None

    @property
    def following(self) -> int | None:
        """The version after."""
        is_last = self.place == len(self.versions)
        return None if is_last else self.versions[self.place]


def conversations_visible_to(user: User, project: Project) -> QuerySet[Conversation]:
    """Return a person's own conversations, and those others share, newest first."""
    return Conversation.objects.filter(
        Q(created_by=user) | Q(is_shared=True), project=project, deleted=None
    ).order_by("-updated", "-pk")


def get_conversation(user: User, project: Project, pk: int) -> Conversation:
    """Return one conversation; those of others that are not shared are not there."""
    found = conversations_visible_to(user, project).filter(pk=pk)
    conversation = found.select_related("head", "project").first()
    if conversation is None:
        raise Http404("no such conversation")
    return conversation


def generations_visible_to(user: User) -> QuerySet[Generation]:
    """Return the answers a person may read: own ones, and those in shared talks.

    Answers of campaigns are nobody's, and tell which model wrote them: engineers read
    them, labelers do not.
    """
    of_campaigns = Q(
        created_by=None,
        message=None,
        project__in=projects_with_role(user, Role.ENGINEER).order_by(),
    )
    return Generation.objects.filter(
        Q(created_by=user) | Q(message__conversation__is_shared=True) | of_campaigns,
        project__in=projects_visible_to(user),
    ).filter(Q(message=None) | Q(message__conversation__deleted=None))


def branch_of(conversation: Conversation) -> list[Turn]:
    """Return the branch that ends at the head, from its beginning."""
    kept = conversation.messages.filter(deleted=None)
    rows = list(kept.select_related("generation").order_by("pk"))
    by_id = {row.pk: row for row in rows}
    siblings: dict[int | None, list[int]] = {}
    for row in rows:
        siblings.setdefault(row.parent_id, []).append(row.pk)
    turns: list[Turn] = []
    at = by_id.get(conversation.head_id or 0)
    while at is not None:
        generation = getattr(at, "generation", None)
        turns.append(Turn(at, generation, siblings[at.parent_id]))
        at = by_id.get(at.parent_id or 0)
    return turns[::-1]


def leaf_below(message: Message) -> Message:
    """Return the newest end of the branch a message is on."""
    while True:
        child = message.children.filter(deleted=None).order_by("-pk").first()
        if child is None:
            return message
        message = child


def messages_of(turns: list[Turn], system: str = "") -> list[dict[str, str]]:
    """Return turns as chat messages."""
    first = [{"role": "system", "content": system}] if system.strip() else []
    return first + [
        {"role": turn.message.role, "content": turn.message.content} for turn in turns
    ]
