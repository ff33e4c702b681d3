"""Models of three stages, datasets to measure on, and evaluations nobody had to run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking_lab import prompt_row, write_dataset
from evaluations_lab import NAMES, facts_of, row
from runspec import EvaluateSpec
from runspec.layout import ANSWERS_FILE, DATASET_CARD, OUTPUT
from tinyworld import prompts, world
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.evaluations.models import Evaluation
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.models import Run


@pytest.fixture
def line(project: Project) -> list[LanguageModel]:
    """A base model, what was made of it, and what was made of that."""
    made: list[LanguageModel] = []
    for name in NAMES:
        one = LanguageModel.objects.create(
            project=project, name=name, stage=name.lower(), architecture="decoder",
            family="llama", path=f"models/{name}", files={"a": 1},
            recognised={"has_chat_template": name != "Base"},
        )  # fmt: skip
        one.parents.set(made[-1:])
        made.append(one)
    return made


@pytest.fixture
def make_dataset(project: Project, tmp_path: Path) -> Callable[..., DatasetVersion]:
    """Return a maker of datasets whose rows are really there."""

    def make(name: str, kind: str, **splits: list[Any]) -> DatasetVersion:
        folder = write_dataset(tmp_path / name, kind, **splits)
        card = (folder / DATASET_CARD).read_text()
        key = storage.publish(folder, f"datasets/{name}")
        dataset = Dataset.objects.create(project=project, name=name, kind=kind)
        return DatasetVersion.objects.create(
            dataset=dataset, number=1, path=key, rows=1, card=json.loads(card)
        )

    return make


@pytest.fixture
def of_the_world(make_dataset) -> DatasetVersion:
    made = prompts(
        world(), "evaluation", sizes={"honest": 3, "harmless": 2, "known": 4}
    )
    rows = [prompt_row(one.text, answer=one.answer) for one in made]
    return make_dataset("World", "prompts", train=rows)


@pytest.fixture
def make_evaluation(
    project: Project,
    bob: User,
    line: list[LanguageModel],
    of_the_world: DatasetVersion,
    tmp_path: Path,
) -> Callable[..., Evaluation]:
    """Return a maker of evaluations, published as a worker would."""

    def make(
        num_rows: int = 3,
        *,
        text: str = "Nobody knows.",
        facts: dict[str, Any] | None = None,
        is_done: bool = True,
    ) -> Evaluation:
        spec = EvaluateSpec(
            models=tuple(f"grammar/{one.name}" for one in line),
            datasets=(str(of_the_world.pk),),
            truth="tinyworld",
        )
        run = kinds.start_run(project=project, created_by=bob, spec=spec)
        evaluation = Evaluation.objects.get(run=run)
        if not is_done:
            return evaluation
        folder = tmp_path / f"run-{run.pk}"
        (folder / OUTPUT).mkdir(parents=True)
        lines = [row(number, text) for number in range(num_rows)]
        (folder / OUTPUT / ANSWERS_FILE).write_text(
            "".join(one.model_dump_json() + "\n" for one in lines)
        )
        values = kinds.publish_output(run, folder, facts or facts_of())
        kinds.record_output(run, values)
        Run.objects.filter(pk=run.pk).update(state=Run.State.SUCCEEDED)
        evaluation.refresh_from_db()
        return evaluation

    return make
