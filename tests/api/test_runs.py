"""Runs over HTTP: queue, list, steer, watch."""

from typing import Any

import pytest
from runspec.layout import log_file
from trivium import storage
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.models.models import LanguageModel
from trivium.runs.models import Checkpoint, Run, RunWarning, Sample

pytestmark = pytest.mark.django_db(databases="__all__")


def test_a_run_is_queued_with_the_object_it_makes(ada, version):
    body = {
        "project": "grammar",
        "name": "My BPE",
        "priority": 7,
        "spec": {
            "kind": "tokenizer",
            "dataset": str(version.pk),
            "vocabulary_size": 300,
        },
    }
    made = ada.post("/runs", body)
    assert made.status_code == 201
    run = made.json()
    assert (run["kind"], run["priority"], run["state"]) == ("tokenizer", 7, "waiting")
    assert run["waits_for"] == [version.run_id]
    assert run["output"]["noun"] == "tokenizer"
    assert run["output"]["is_ready"] is False
    assert run["spec"]["vocabulary_size"] == 300
    assert ada.get(f"/runs/{run['id']}").json() == run


def test_the_object_of_an_unfinished_run_can_be_used_at_once(ada, tokenizer_run):
    tokenizer = ada.get(f"/runs/{tokenizer_run.pk}").json()["output"]
    spec = {
        "kind": "pretrain",
        "dataset": tokenizer_run.spec["dataset"],
        "tokenizer": str(tokenizer["id"]),
    }
    run = ada.post("/runs", {"project": "grammar", "spec": spec}).json()
    assert tokenizer_run.pk in run["waits_for"]


@pytest.fixture
def tuning(project) -> dict[str, Any]:
    """A spec of fine-tuning on two datasets."""
    model = LanguageModel.objects.create(
        project=project, name="Fabler", stage="base", architecture="decoder",
        family="llama", path="models/fabler",
    )  # fmt: skip
    ids = []
    for name in ("one", "two"):
        dataset = Dataset.objects.create(
            project=project, name=name, kind="instructions"
        )
        ids.append(str(dataset.versions.create(number=1, path=f"datasets/{name}").pk))
    weights = [2.0, 1.0]
    return {"kind": "sft", "model": str(model.pk), "datasets": ids, "weights": weights}


def test_a_run_on_several_datasets_is_queued_behind_its_preflight(ada, tuning):
    run = ada.post("/runs", {"project": "grammar", "spec": tuning}).json()
    assert (run["kind"], run["state"], run["output"]["noun"]) == (
        "sft",
        "waiting",
        "model",
    )
    assert run["spec"]["datasets"] == tuning["datasets"]
    [check] = ada.get("/runs", kind="preflight").json()["items"]
    assert run["waits_for"] == [check["id"]]
    assert check["spec"]["training"]["weights"] == [2.0, 1.0]


def test_a_check_alone_is_queued(ada, tuning):
    spec = {"kind": "preflight", "training": tuning}
    run = ada.post("/runs", {"project": "grammar", "spec": spec, "name": "Look"}).json()
    assert (run["kind"], run["name"], run["output"]) == ("preflight", "Look", None)


def test_pretraining_goes_on_from_a_model(ada, version, tuning):
    spec = {"kind": "pretrain", "dataset": str(version.pk)}
    body = {"project": "grammar", "spec": spec | {"base_model": tuning["model"]}}
    assert ada.post("/runs", body).json()["spec"]["tokenizer"] is None
    refused = ada.post("/runs", body | {"spec": spec})
    assert refused.status_code == 422
    assert "random weights need one" in refused.json()["error"]["message"]


def test_each_reference_to_a_missing_object_is_named(ada, tuning):
    for field, value in (("model", "99"), ("datasets", ["99"])):
        spec = tuning | {field: value, "weights": []}
        refused = ada.post("/runs", {"project": "grammar", "spec": spec})
        assert refused.status_code == 422
        assert refused.json()["error"]["field"] == field


def test_the_document_tells_what_an_id_refers_to(client):
    schemas = client.get("/api/v1/openapi.json").json()["components"]["schemas"]
    datasets = schemas["SftSpec"]["properties"]["datasets"]
    assert (datasets["type"], datasets["reference"]) == ("array", "dataset")
    assert schemas["PretrainSpec"]["properties"]["base_model"]["reference"] == "model"
    assert "tokenizer" not in schemas["PretrainSpec"]["required"]


def test_another_projects_objects_cannot_be_used(mallory, version):
    spec = {"kind": "tokenizer", "dataset": str(version.pk)}
    refused = mallory.post("/runs", {"project": "elsewhere", "spec": spec})
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "dataset"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["Tok", "Corpus"]),
        ({"kind": "ingest"}, ["Corpus"]),
        ({"state": "waiting"}, ["Tok"]),
        ({"q": "cor"}, ["Corpus"]),
        ({"q": "%"}, []),
        ({"project": "grammar", "limit": 1}, ["Tok"]),
    ],
)
def test_runs_are_filtered(params, expected, ada, tokenizer_run):
    items = ada.get("/runs", **params).json()["items"]
    assert [item["name"] for item in items] == expected


def test_pages_follow_each_other_without_gap_or_overlap(ada, project):
    Run.objects.bulk_create(
        Run(
            project=project,
            kind="ingest",
            name=f"r{number}",
            spec={},
            spec_sha256="",
        )
        for number in range(7)
    )
    names, cursor = [], ""
    while cursor is not None:
        page = ada.get("/runs", limit=3, cursor=cursor).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert names == [f"r{number}" for number in reversed(range(7))]


@pytest.mark.parametrize("cursor", ["x", "aWQ6LTE", "aWQ6OTk5OTk5OTk5OTk5OTk5OTk5OTk"])
def test_a_forged_cursor_is_refused(cursor, ada):
    refused = ada.get("/runs", cursor=cursor)
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "cursor"


def test_a_queued_run_is_cancelled(ada, ingest):
    assert ada.post(f"/runs/{ingest.pk}/cancel").json()["state"] == "cancelled"
    again = ada.post(f"/runs/{ingest.pk}/resume")
    assert again.status_code == 409
    assert again.json()["error"]["type"] == "conflict"


def test_a_cancelled_run_is_tried_again_with_changes(ada, ingest):
    ada.post(f"/runs/{ingest.pk}/cancel")
    changes = {"validation_fraction": 0.25}
    retried = ada.post(f"/runs/{ingest.pk}/retry", {"changes": changes})
    assert retried.status_code == 201
    run = retried.json()
    assert run["spec"]["validation_fraction"] == 0.25
    assert run["spec"]["source"] == ingest.spec["source"]
    assert DatasetVersion.objects.get().run_id == run["id"]


def test_a_wrong_change_is_refused_and_named(ada, ingest):
    ada.post(f"/runs/{ingest.pk}/cancel")
    refused = ada.post(f"/runs/{ingest.pk}/retry", {"changes": {"colour": 1}})
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "colour"


def test_priority_is_changed_within_bounds(ada, ingest):
    changed = ada.post(f"/runs/{ingest.pk}/priority", {"priority": 9})
    assert changed.json()["priority"] == 9
    assert ada.post(f"/runs/{ingest.pk}/priority", {"priority": 101}).status_code == 422


def test_samples_checkpoints_and_warnings_are_listed_newest_first(ada, ingest):
    for step in (1, 2):
        Sample.objects.create(run=ingest, fence=1, step=step, prompt="a", text="b")
        RunWarning.objects.create(run=ingest, fence=1, step=step, message="hm")
        Checkpoint.objects.create(
            run=ingest, fence=1, step=step, path="x", manifest_sha256="0" * 64
        )
    for noun in ("samples", "checkpoints", "warnings"):
        items = ada.get(f"/runs/{ingest.pk}/{noun}").json()["items"]
        assert [item["step"] for item in items] == [2, 1]


def test_the_history_tells_how_a_run_came_to_its_state(ada, ingest):
    ada.post(f"/runs/{ingest.pk}/cancel")
    history = ada.get(f"/runs/{ingest.pk}/history").json()
    assert history["transitions"][0]["to_state"] == "cancelled"
    assert history["transitions"][0]["actor"] == "ada"


def test_a_log_is_read_in_pieces_by_offset(ada, ingest):
    Run.objects.filter(pk=ingest.pk).update(fence=1)
    text = "\N{SNOWMAN}" * 100
    log_file(storage.run_folder(ingest.pk), 1).write_text(text)
    read, offset = "", 0
    while offset < 300:
        piece = ada.get(f"/runs/{ingest.pk}/log", offset=offset, limit=50).json()
        assert piece["next_offset"] > offset
        read, offset = read + piece["text"], piece["next_offset"]
    assert read == text
    tail = ada.get(f"/runs/{ingest.pk}/log", limit=30).json()
    assert (tail["offset"], tail["size"]) == (270, 300)


def test_a_log_that_is_not_there_yet_is_empty(ada, ingest):
    piece = ada.get(f"/runs/{ingest.pk}/log").json()
    assert (piece["text"], piece["next_offset"]) == ("", 0)
