"""Evaluations from the command line."""

import pytest
from evaluations_lab import facts_of
from trivium.datasets.models import Dataset
from trivium.evaluations.models import Evaluation
from trivium.models.models import LanguageModel
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def test_what_came_of_it_is_printed(trivium, project):
    made = Evaluation.objects.create(project=project, name="First", facts=facts_of())
    assert "First" in trivium("evaluations", "list").out
    out = trivium("evaluations", "show", made.pk).out
    assert "Aligned is better at" in out
    [won] = [line for line in out.splitlines() if line.startswith("win_rate")]
    assert won.split()[:4] == ["win_rate", "tinyworld", "Aligned", "0.8"]
    assert won.rstrip().endswith("better")
    assert trivium("evaluations", "show", made.pk, "--json").json["baseline"] == 1


def test_a_line_of_models_is_evaluated_with_one_command(trivium, project):
    dataset = Dataset.objects.create(project=project, name="Asked", kind="prompts")
    version = dataset.versions.create(number=1, path="datasets/x")
    LanguageModel.objects.create(
        project=project, name="Base", stage="base", architecture="decoder",
        path="models/x",
    )  # fmt: skip
    made = trivium("evaluate")
    assert made.code == 0, made.err
    assert "evaluate Base" in made.out
    assert f"makes evaluation {Evaluation.objects.get().pk}" in made.out
    argv = ("--on", version.pk, "--max-rows", 9, "--max-tokens", 12, "--name", "Mine")
    run = trivium("evaluate", "grammar/Base", *argv, "--json").json
    assert (run["name"], run["spec"]["max_rows"]) == ("Mine", 9)
    assert run["spec"]["sampling"]["max_tokens"] == 12
    refused = trivium("evaluate", "Nobody")
    assert refused.code == 2
    assert "Nobody" in refused.err
    assert Run.objects.count() == 2
