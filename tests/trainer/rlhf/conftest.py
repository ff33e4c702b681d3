"""A tiny policy, made once."""

from pathlib import Path

import pytest
from rlhf_lab import RlhfLab, write_policy
from sft_lab import write_model


@pytest.fixture(scope="session")
def rlhf_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def rlhf_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "policy": write_policy(folder / "policy"),
        "decoder": write_model(folder / "decoder", "decoder"),
    }


@pytest.fixture
def lab(tmp_path: Path, rlhf_cache: Path, rlhf_models: dict[str, Path]) -> RlhfLab:
    return RlhfLab(tmp_path, rlhf_cache, rlhf_models)
