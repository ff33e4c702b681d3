"""Nodes as a page shows them: who is there, which models they hold, how busy."""

from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone
from runspec.serving import LoadedModel, NodeState

from trivium.accounts.models import User
from trivium.models.models import LanguageModel
from trivium.models.queries import models_visible_to
from trivium.runs.queries import runs_visible_to
from trivium.serving.models import Node
from trivium.serving.routing import SILENT_AFTER, state_of

FORGOTTEN_AFTER = timedelta(days=1)
"""A node silent for this long is shown no more."""
MODEL, RUN = "model-", "run-"


class LoadedView(NamedTuple):
    """A model in a node's memory, named where the reader may see it."""

    told: LoadedModel
    title: str
    model: LanguageModel | None


class NodeView(NamedTuple):
    """A node, its state in one word, and its models."""

    node: Node
    state: str
    label: str
    told: NodeState | None
    models: list[LoadedView]
    used_bytes: int


def node_views(user: User) -> list[NodeView]:
    """Return every node; models are named only where `user` may see them."""
    recent = timezone.now() - FORGOTTEN_AFTER
    nodes = list(Node.objects.filter(heartbeat__gt=recent).order_by("name"))
    states = [state_of(node) for node in nodes]
    keys = {one.facts.key for state in states if state for one in state.models}
    models = models_visible_to(user).select_related("project")
    known = models.in_bulk(_ids(keys, MODEL))
    runs = runs_visible_to(user).in_bulk(_ids(keys, RUN))

    def named(told: LoadedModel) -> LoadedView:
        key = told.facts.key
        if (found := known.get(_id(key, MODEL))) is not None:
            return LoadedView(told, found.name, found)
        run = runs.get(_id(key, RUN))
        step = key.rpartition("-")[2]
        title = f"{run.name}, step {step}" if run else "A model of another project"
        return LoadedView(told, title, None)

    views = []
    for node, told in zip(nodes, states, strict=True):
        rows = [named(one) for one in told.models] if told else []
        used = sum(row.told.facts.bytes for row in rows)
        views.append(NodeView(node, *_state(node), told, rows, used))
    return sorted(views, key=lambda view: view.state == "lost")


def _state(node: Node) -> tuple[str, str]:
    if node.heartbeat < timezone.now() - SILENT_AFTER:
        return "lost", "Silent"
    return ("paused", "Draining") if node.is_draining else ("online", "Online")


def _ids(keys: set[str], prefix: str) -> list[int]:
    return [found for key in keys if (found := _id(key, prefix))]


def _id(key: str, prefix: str) -> int:
    """Return the number behind a prefix (`run-5-step-300` → 5), or 0."""
    number = key.removeprefix(prefix).partition("-")[0]
    is_one = key.startswith(prefix) and number.isdecimal() and len(number) < 19
    return int(number) if is_one else 0
