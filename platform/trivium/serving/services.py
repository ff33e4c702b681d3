"""Every write to nodes and endpoints."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.db.models.functions import Now
from runspec.serving import NodeState

from trivium.accounts.models import User
from trivium.projects.models import Project
from trivium.runs.errors import SubmitError
from trivium.serving.keys import encrypt_key, node_key
from trivium.serving.models import Endpoint, Node

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
MAX_URL = 300
MAX_MODELS = 1_000
MAX_MODEL_ID = 300
MAX_API_KEY = 4_000

# Nodes -------------------------------------------------------------------------------


def announce_node(*, name: str, url: str, state: NodeState) -> Node:
    """Say that a node is there; one known by that name is taken over."""
    node, _ = Node.objects.update_or_create(
        name=name,
        defaults={
            "url": url.rstrip("/"),
            "started": Now(),
            "is_draining": False,
            **_told(state),
        },
    )
    return Node.objects.get(pk=node.pk)


def beat_node(*, name: str, state: NodeState) -> bool:
    """Say that a node is still there; False asks to announce it anew."""
    return bool(Node.objects.filter(name=name).update(**_told(state)))


def drain_node(*, name: str) -> None:
    """Send a node nothing more; what it has goes on."""
    Node.objects.filter(name=name).update(is_draining=True)


def retire_node(name: str) -> None:
    """Forget a node that ended."""
    Node.objects.filter(name=name).delete()


def _told(state: NodeState) -> dict[str, object]:
    return {
        "device": state.device,
        "engine": state.engine[:200],
        "state": state.model_dump(mode="json"),
        "heartbeat": Now(),
    }


# Endpoints ---------------------------------------------------------------------------


def add_endpoint(
    *, name: str, url: str, api_key: str, model_ids: Sequence[str], created_by: User
) -> Endpoint:
    """Register another server that speaks the OpenAI API.

    Raises:
        SubmitError: name, address or a model's id is unusable.
    """
    name = name.strip()
    if not NAME.fullmatch(name):
        raise SubmitError(
            f"{name!r} is no name of an endpoint: small letters, digits, - and _ only",
            field="name",
        )
    if Endpoint.objects.filter(name=name).exists():
        raise SubmitError(f"an endpoint named {name!r} exists already", field="name")
    if Project.objects.filter(slug=name).exists():
        raise SubmitError(
            f"a project has the address {name!r}, and its models that prefix",
            field="name",
        )
    return Endpoint.objects.create(
        name=name,
        url=checked_url(url),
        api_key_encrypted=encrypt_key(checked_key(api_key)),
        model_ids=checked_ids(model_ids),
        created_by=created_by,
    )


def change_endpoint(
    endpoint: Endpoint,
    *,
    url: str,
    api_key: str | None,
    model_ids: Sequence[str],
    is_enabled: bool,
) -> None:
    """Change an endpoint; an `api_key` of None keeps the one it has.

    A key is never sent to another host than the one it was given for.

    Raises:
        SubmitError: address or a model's id is unusable.
    """
    address, ids = checked_url(url), checked_ids(model_ids)
    if api_key is not None:
        endpoint.api_key_encrypted = encrypt_key(checked_key(api_key))
    elif endpoint.has_api_key and _origin(endpoint.url) != _origin(address):
        raise SubmitError(
            "the address is another server's; enter its API key, or remove the key",
            field="api_key",
        )
    endpoint.url, endpoint.model_ids, endpoint.is_enabled = address, ids, is_enabled
    endpoint.save(update_fields=["url", "model_ids", "is_enabled", "api_key_encrypted"])


def delete_endpoint(endpoint: Endpoint) -> None:
    """Forget an endpoint and its key."""
    endpoint.delete()


def checked_url(raw: str) -> str:
    """Return the address of a server, without a slash at its end.

    Raises:
        SubmitError: it is none that may be called.
    """
    url = raw.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SubmitError(f"{url!r} is no address: {error}", field="url") from error
    if parts.scheme not in {"http", "https"} or not host or len(url) > MAX_URL:
        raise SubmitError(
            f"{url[:80]!r} is no address like https://host/v1", field="url"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SubmitError(
            "an address has no user, password or question in it; the key has a field "
            "of its own",
            field="url",
        )
    if any(one.isspace() or not one.isprintable() for one in url):
        raise SubmitError("the address holds an invisible character", field="url")
    if host.startswith(("169.254.", "fe80:")) or host == "metadata.google.internal":
        # Where clouds tell machines their secrets.
        raise SubmitError(f"{host} is reserved and is never called", field="url")
    return url


def checked_key(raw: str) -> str:
    """Return an API key as a header can carry it.

    Raises:
        SubmitError: it cannot.
    """
    key = raw.strip()
    if len(key) > MAX_API_KEY or not key.isascii() or not key.isprintable():
        raise SubmitError(
            f"a key has at most {MAX_API_KEY:,} plain characters", field="api_key"
        )
    return key


def checked_ids(raw: Sequence[str]) -> list[str]:
    """Return the ids of models, each once, in their order.

    Raises:
        SubmitError: there are too many, or one is unusable.
    """
    ids = list(dict.fromkeys(one.strip() for one in raw if one.strip()))
    if len(ids) > MAX_MODELS:
        raise SubmitError(
            f"{len(ids):,} models; {MAX_MODELS:,} are allowed", field="model_ids"
        )
    for one in ids:
        if len(one) > MAX_MODEL_ID or not one.isprintable():
            raise SubmitError(f"{one[:60]!r} is no id of a model", field="model_ids")
    return ids


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


__all__ = [
    "add_endpoint",
    "announce_node",
    "beat_node",
    "change_endpoint",
    "delete_endpoint",
    "drain_node",
    "node_key",
    "retire_node",
]
