"""A text, and a tokenizer for it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pretraining_lab import LINES, Lab, write_dataset
from runspec import TokenizerSpec
from runspec.layout import OUTPUT
from stage_lab import context_for
from trainer.hardware import FILE, LOOKS, matrix_peaks
from trainer.tokenizer import run_tokenizer


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("texts")
    dataset = write_dataset(
        root / "dataset", {"train": LINES[:-60], "validation": LINES[-60:]}
    )
    spec = TokenizerSpec(dataset=str(dataset), algorithm="characters")
    context = context_for(root / "tokenizer")
    run_tokenizer(spec, context=context)
    context.report.close()
    return dataset, root / "tokenizer" / OUTPUT


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this machine can do, measured once for all tests."""
    cache = tmp_path_factory.mktemp("measured")
    for _ in range(LOOKS):
        matrix_peaks(torch.device("cpu"), cache)
    return cache / FILE


@pytest.fixture
def lab(texts: tuple[Path, Path], measured: Path, tmp_path: Path) -> Lab:
    (tmp_path / "cache").mkdir()
    shutil.copy(measured, tmp_path / "cache")
    return Lab(tmp_path, *texts)


@pytest.fixture
def dataset_of(tmp_path: Path) -> Callable[..., Path]:
    def make(**splits: list[str]) -> Path:
        return write_dataset(tmp_path / "other", splits)

    return make
