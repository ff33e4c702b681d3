"""One node for a module, and tiny models of every kind, written once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from node_lab import CHAT, NodeProcess, write_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a model of a kind; `chat` is a llama with a template."""
    folder = tmp_path_factory.mktemp("models")

    def find(kind: str) -> Path:
        path = folder / kind
        if not path.is_dir():
            if kind in {"chat", "reward"}:
                base = {"chat": "llama", "reward": "judge"}[kind]
                return write_model(path, base, template=CHAT)
            if kind == "slow":  # computed by transformers, with a long context
                return write_model(path, "mixtral", max_position_embeddings=8192)
            write_model(path, kind)
        return path

    return find


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path_factory.mktemp("node"))
    yield made
    assert made.end() == 0


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Start nodes with flags of a test's own."""
    nodes: list[NodeProcess] = []

    def start(*flags: str) -> NodeProcess:
        nodes.append(NodeProcess(tmp_path / "cache", *flags))
        return nodes[-1]

    yield start
    for made in nodes:
        made.end()
