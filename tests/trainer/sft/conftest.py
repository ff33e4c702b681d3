"""Tiny models, made once."""

from pathlib import Path

import pytest
from sft_lab import Lab, write_model


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    names = ("decoder", "encoder", "encoder-decoder")
    return {name: write_model(root / name, name) for name in names}


@pytest.fixture(scope="session")
def sft_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def lab(tmp_path: Path, sft_cache: Path, tiny_models: dict[str, Path]) -> Lab:
    return Lab(tmp_path, sft_cache, tiny_models)
