"""Which node answers: one that has the model in memory, else the least busy."""

import random
from collections.abc import Collection
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now
from pydantic import ValidationError
from runspec.serving import ModelRef, NodeState

from trivium.serving.errors import ServingError
from trivium.serving.models import Node

SILENT_AFTER = timedelta(seconds=10)
"""A node that was not heard of for this long is asked nothing more."""
NO_NODE = (
    "no inference node is running; `make up` starts one beside the web, and the "
    "`inference` service of compose.yaml does in production"
)


def live_nodes() -> QuerySet[Node]:
    """Return the nodes that are there and take work."""
    return Node.objects.filter(heartbeat__gt=Now() - SILENT_AFTER, is_draining=False)


def state_of(node: Node) -> NodeState | None:
    """Return what a node told of itself; None where another version told it."""
    try:
        return NodeState.model_validate(node.state)
    except ValidationError:
        return None


def choose_node(ref: ModelRef, *, avoid: Collection[str] = ()) -> Node:
    """Return the node to ask, other than those named in `avoid`.

    What a node says of its load is a second old, so ties fall by chance: requests
    that come at once spread over equals.

    Raises:
        ServingError: no node is there.
    """
    nodes = list(live_nodes().exclude(name__in=avoid))
    if not nodes:
        raise ServingError(503, "no_node", NO_NODE)
    return min(nodes, key=lambda node: (*_cost(node, ref), random.random()))


def _cost(node: Node, ref: ModelRef) -> tuple[bool, int]:
    state = state_of(node)
    if state is None:
        return True, 0
    has_model = any(model.facts.key == ref.key for model in state.models)
    return not has_model, state.num_running + state.num_waiting
