"""Tiny real models, and the import stage to try them on."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runspec import ImportSpec
from stage_lab import FakeContext, Recorder
from tiny_models import write_model
from trainer.errors import BadInputError
from trainer.importing.stage import run_import


@dataclass
class Imported:
    """What one import left behind."""

    folder: Path
    report: Recorder
    error: str = ""

    @property
    def output(self) -> Path:
        assert not self.error, self.error
        return self.folder / "output"

    @property
    def result(self) -> dict[str, Any]:
        assert not self.error, self.error
        return self.report.results[0]

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.output.iterdir()}

    def warned(self) -> str:
        assert not self.error, self.error
        return "; ".join(self.report.warnings)


Import = Callable[..., Imported]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder for each family; never changed."""
    folder = tmp_path_factory.mktemp("models")
    return {
        family: write_model(folder / family, family)
        for family in ("llama", "bert", "polarity", "t5")
    }


@pytest.fixture
def llama(made: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a decoder that a test may break."""
    return shutil.copytree(made["llama"], tmp_path / "llama")


@pytest.fixture
def take(tmp_path: Path) -> Import:
    """Import a folder or archive through the real stage."""
    count = 0

    def run(
        source: Path | None, name: str = "", *, stopped: bool = False, **settings: Any
    ) -> Imported:
        nonlocal count
        count += 1
        folder = tmp_path / f"run-{count}"
        folder.mkdir()
        context = FakeContext(folder)
        imported = Imported(folder, context.report)
        if source is not None:
            settings |= {"source": str(source), "file_name": name or source.name}
        if stopped:
            context.stop.set()
        try:
            run_import(ImportSpec(**settings), context=context)
        except BadInputError as error:
            imported.error = f"{error} {error.advice}"
        finally:
            left = [path.name for path in folder.iterdir()]
            assert left == ["output"] * bool(context.report.results)
        return imported

    return run


@pytest.fixture(scope="session")
def bad_files(shared_dir: Path) -> Path:
    return shared_dir / "data_bad"
