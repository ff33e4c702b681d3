"""A real node and tiny models of every architecture, for what stands on the web."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from node_lab import CHAT, KEY, NodeProcess, write_model
from runspec.serving import NodeState
from trivium import storage
from trivium.models.models import LanguageModel
from trivium.playground import streaming
from trivium.playground.models import Generation
from trivium.projects.models import Project
from trivium.serving import client, services

PutModel = Callable[..., LanguageModel]

KINDS = {
    "llama": {"stage": "base", "architecture": "decoder"},
    "chat": {"stage": "instruct", "architecture": "decoder"},
    "bert": {"stage": "base", "architecture": "encoder"},
    "t5": {"stage": "instruct", "architecture": "encoder-decoder"},
    "judge": {"stage": "reward", "architecture": "decoder"},
    "labels": {
        "stage": "instruct",
        "architecture": "encoder",
        "recognised": {"head": "sequence-classification"},
    },
}


def written(generation: Generation) -> Generation:
    """Have an answer written to its end, as a reader would."""

    async def read() -> None:
        async for _ in streaming.read(generation.pk, 0):
            pass

    asyncio.run(asyncio.wait_for(read(), 60))
    # The loop that would have forgotten it is over.
    streaming._live.pop(generation.pk, None)
    generation.refresh_from_db()
    assert generation.state == "done", generation.error
    return generation


@pytest.fixture(scope="session")
def real_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A process that computes; announce it with `announced`."""
    made = NodeProcess(tmp_path_factory.mktemp("node"))
    yield made
    made.end()


@pytest.fixture
def announced(
    real_node: NodeProcess, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> NodeProcess:
    """The real node as the web knows it."""
    monkeypatch.setattr(client, "node_key", lambda: KEY)
    state = NodeState.model_validate(real_node.state())
    services.announce_node(name="real", url=real_node.url, state=state)
    return real_node


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a model of a kind, written once."""
    root = tmp_path_factory.mktemp("tiny")

    def find(kind: str) -> Path:
        if not (root / kind).is_dir():
            base = {"chat": "llama"}.get(kind, kind)
            write_model(root / kind, base, template=CHAT if kind == "chat" else "")
        return root / kind

    return find


@pytest.fixture
def put_model(tiny_folder: Callable[[str], Path], tmp_path: Path) -> PutModel:
    """Put a real tiny model into the registry of a project."""

    def put(project: Project, kind: str, name: str = "") -> LanguageModel:
        name = name or f"Tiny {kind}"
        copy = tmp_path / f"{kind}-{name}"
        shutil.copytree(tiny_folder(kind), copy)
        key = f"models/{name.lower().replace(' ', '-')}-{project.pk}"
        return LanguageModel.objects.create(
            project=project,
            name=name,
            family=kind,
            path=storage.publish(copy, key),
            files={"config.json": {"size": 2, "sha256": name.encode().hex()}},
            **KINDS[kind],
        )

    return put
