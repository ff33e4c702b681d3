"""Fixtures of all tests that talk to models: a fake node, and models to name."""

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest
from fake_node import FakeNode, serving
from trivium import storage
from trivium.accounts import services as accounts
from trivium.accounts.models import ApiToken, User
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.serving import services
from trivium.serving.keys import node_key

MakeModel = Callable[..., LanguageModel]


@pytest.fixture
def make_node(transactional_db: None) -> Iterator[Callable[[str], FakeNode]]:
    """Start fake nodes that are announced."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(name: str) -> FakeNode:
            node = FakeNode(node_key())
            node.url = stack.enter_context(serving(node))
            services.announce_node(name=name, url=node.url, state=node.state())
            return node

        yield make


@pytest.fixture
def node(make_node: Callable[[str], FakeNode]) -> FakeNode:
    return make_node("node-1")


@pytest.fixture
def make_model() -> MakeModel:
    """Register models; their files are never read by a fake node."""

    def make(project: Project, name: str = "Tiny", **values: object) -> LanguageModel:
        given: dict[str, object] = {
            "stage": "instruct",
            "architecture": "decoder",
            "family": "llama",
            "path": f"models/{name.lower().replace(' ', '-')}-{project.pk}",
            "files": {"config.json": {"size": 2, "sha256": "0" * 64}},
        }
        return LanguageModel.objects.create(
            project=project, name=name, **(given | values)
        )

    return make


@pytest.fixture
def model(project: Project, make_model: MakeModel) -> LanguageModel:
    return make_model(project)


def run_async(work, seconds: float = 20):
    """Run a coroutine to its end, with a limit."""
    return asyncio.run(asyncio.wait_for(work, seconds))


def write_checkpoint(run_id: int, step: int, *files: str) -> str:
    """Lay a folder that looks like a checkpoint; return its path as rows have it."""
    path = f"checkpoints/step-{step}"
    folder = storage.run_folder(run_id) / path
    folder.mkdir(parents=True)
    for name in ("MANIFEST.json", "model.safetensors", *files):
        (folder / name).write_text(json.dumps({}))
    return path


def make_secret(user: User, scope: ApiToken.Scope = ApiToken.Scope.INFERENCE) -> str:
    """Return a token that may talk to models."""
    return accounts.create_token(user=user, name="test", scope=scope)[1]
