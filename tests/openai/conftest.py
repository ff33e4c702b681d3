"""A web process that really listens, the official client, and a fake node behind."""

from collections.abc import Iterator

import httpx
import openai
import pytest
from fake_node import serving
from serving_lab import make_model, make_node, make_secret, model, node
from trivium.accounts.models import User
from trivium.asgi import django_application

__all__ = ["make_model", "make_node", "model", "node"]


@pytest.fixture
def address(transactional_db: None) -> Iterator[str]:
    """Where the web listens."""
    with serving(django_application) as url:
        yield url


@pytest.fixture
def secret(bob: User) -> str:
    """Bob's token for talking to models."""
    return make_secret(bob)


@pytest.fixture
def client(address: str, secret: str) -> Iterator[openai.OpenAI]:
    """The official client, as it is set up by its users; errors are not retried."""
    with openai.OpenAI(
        base_url=f"{address}/v1", api_key=secret, max_retries=0, timeout=90
    ) as made:
        yield made


@pytest.fixture
def raw(address: str, secret: str) -> Iterator[httpx.Client]:
    """A client that sends what the official one would not."""
    with httpx.Client(
        base_url=f"{address}/v1",
        headers={"Authorization": f"Bearer {secret}"},
        timeout=20,
        trust_env=False,
    ) as made:
        yield made
