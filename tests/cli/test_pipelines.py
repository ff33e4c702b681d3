"""Pipelines from the command line."""

import io

import pytest
from pipelines_lab import THREE, fail, finish, make_version, step_of
from trivium.pipelines.models import Pipeline

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def file(project, tmp_path):
    for name, kind in (
        ("Text", "text"), ("Asked", "instructions"), ("Preferred", "preferences"),
    ):  # fmt: skip
        make_version(project, name, kind)
    path = tmp_path / "stages.yaml"
    path.write_text(THREE)
    return path


def test_a_pipeline_is_made_of_a_file_and_told_of(trivium, file):
    made = trivium("pipelines", "run", file)
    assert made.code == 0, made.err
    pipeline = Pipeline.objects.get()
    assert f"pipeline {pipeline.pk} Stages: queued, 0 of 4 steps done" in made.out
    assert "Stages" in trivium("pipelines", "list").out
    shown = trivium("pipelines", "show", pipeline.pk, "--json").json
    assert [step["name"] for step in shown["steps"]][:2] == ["tokenizer", "base"]
    written = trivium("pipelines", "yaml", pipeline.pk).out
    assert written.startswith("name: Stages\nsteps:\n")


def test_a_pipeline_is_read_from_standard_input(trivium, file, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(THREE.replace("Stages", "Piped")))
    assert trivium("pipelines", "run", "-").code == 0
    assert Pipeline.objects.get().name == "Piped"


def test_a_failed_step_is_seen_edited_and_tried_again(trivium, file):
    trivium("pipelines", "run", file)
    pipeline = Pipeline.objects.get()
    fail(step_of(pipeline, "tokenizer").run, "It is too short.")
    watched = trivium("pipelines", "watch", pipeline.pk)
    assert watched.code == 1
    assert "tokenizer (tokenizer) failed: It is too short." in watched.out
    assert "waits for step tokenizer, which failed" in watched.out
    assert trivium("pipelines", "retry", pipeline.pk, "tokenizer").code == 0
    again = trivium("pipelines", "retry", pipeline.pk, "tokenizer")
    assert again.code == 6
    assert "only a failed or cancelled step" in again.err
    changed = trivium("pipelines", "retry", pipeline.pk, "base", "--set", "layers=2")
    assert changed.code == 0, changed.err
    assert step_of(pipeline, "base").run.spec["layers"] == 2
    for name in ("tokenizer", "base", "instruct", "aligned"):
        finish(step_of(pipeline, name).run, validation_loss=1.5)
    watched = trivium("pipelines", "watch", pipeline.pk)
    assert watched.code == 0
    assert "base (pretrain) succeeded: validation loss 1.5" in watched.out


def test_a_pipeline_is_cancelled_and_forgotten(trivium, file):
    trivium("pipelines", "run", file)
    pipeline = Pipeline.objects.get()
    assert "collects choices" in trivium("pipelines", "round", pipeline.pk).err
    assert trivium("pipelines", "delete", pipeline.pk).code == 6
    assert "cancelled" in trivium("pipelines", "cancel", pipeline.pk).out
    assert trivium("pipelines", "watch", pipeline.pk).code == 5
    assert trivium("pipelines", "delete", pipeline.pk).code == 0
    assert not Pipeline.objects.exists()


def test_a_wrong_file_is_refused_in_a_sentence(trivium, file):
    file.write_text(THREE.replace("{from: base}", "{from: bass}"))
    refused = trivium("pipelines", "run", file)
    assert refused.code == 2
    assert "step instruct: model: there is no other step 'bass'" in refused.err
    assert trivium("pipelines", "run", file.parent / "gone.yaml").code == 2
    assert not Pipeline.objects.exists()
