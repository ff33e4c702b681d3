"""Tiny models, made once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from node_lab import CHAT, write_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a model of a kind; `chat` is a llama with a template."""
    root = tmp_path_factory.mktemp("tiny")

    def find(kind: str) -> Path:
        folder = root / kind
        if not folder.is_dir():
            base, template = ("llama", CHAT) if kind == "chat" else (kind, "")
            write_model(folder, base, template=template)
        return folder

    return find
