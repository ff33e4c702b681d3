"""Tiny decoders, made once."""

from pathlib import Path

import pytest
from align_lab import AlignLab
from sft_lab import write_model


@pytest.fixture(scope="session")
def align_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "decoder", "decoder")


@pytest.fixture
def lab(tmp_path: Path, align_cache: Path, decoder: Path) -> AlignLab:
    return AlignLab(tmp_path, align_cache, {"decoder": decoder})
