"""Datasets over HTTP: upload, import, look."""

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from trivium import storage
from trivium.datasets.models import DatasetVersion, Upload


def send(caller, content=b"one\n\ntwo\n", *, name="notes.txt", key="", **fields):
    file = SimpleUploadedFile(name, content)
    return caller.client.post(
        "/api/v1/datasets/upload",
        {"project": "grammar", "file": file, **fields},
        headers={"Idempotency-Key": key} if key else {},
    )


def test_an_uploaded_file_becomes_a_queued_ingest(ada, project):
    settings = json.dumps({"text_rows": "line"})
    made = send(ada, name="../../my notes.txt", settings=settings)
    assert made.status_code == 201, made.content
    run = made.json()
    assert (run["kind"], run["state"]) == ("ingest", "queued")
    assert run["spec"]["text_rows"] == "line"
    upload = Upload.objects.get()
    assert storage.local_copy(upload.path).read_bytes() == b"one\n\ntwo\n"
    assert run["output"] == {
        "noun": "dataset",
        "id": DatasetVersion.objects.get().pk,
        "name": "my notes v1",
        "is_ready": False,
    }


def test_the_same_name_makes_the_next_version(ada, project):
    first = ada.client.post(
        "/api/v1/datasets/upload",
        {"project": "grammar", "name": "N", "file": SimpleUploadedFile("a.txt", b"x")},
    ).json()
    second = ada.client.post(
        "/api/v1/datasets/upload",
        {"project": "grammar", "name": "N", "file": SimpleUploadedFile("a.txt", b"y")},
    ).json()
    assert [first["output"]["name"], second["output"]["name"]] == ["N v1", "N v2"]
    dataset = ada.get("/datasets").json()["items"][0]
    assert dataset["newest_version"]["number"] == 2
    versions = ada.get(f"/datasets/{dataset['id']}/versions").json()["items"]
    assert [version["number"] for version in versions] == [2, 1]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"settings": "["}, "settings"),
        ({"settings": "[]"}, "settings"),
        ({"settings": '{"colour": 1}'}, "colour"),
        ({"settings": '{"validation_fraction": 2}'}, "validation_fraction"),
        ({"settings": '{"source": "1"}'}, "source"),
        ({"settings": '{"kind": "ingest"}'}, "kind"),
        ({"colour": "red"}, "colour"),
        ({"project": ""}, None),
    ],
)
def test_a_wrong_upload_keeps_nothing(fields, field, ada, project, settings):
    refused = send(ada, **fields)
    assert refused.status_code == (422 if field else 404)
    assert refused.json()["error"].get("field") == field
    assert not Upload.objects.exists()
    storage_root = Path(settings.STORAGE_URL.removeprefix("file://"))
    assert not list(storage_root.glob("uploads/*"))


def test_an_empty_file_is_refused(ada, project):
    refused = send(ada, b"")
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "file"


def test_a_file_beyond_the_limit_is_refused(ada, project, settings):
    settings.MAX_UPLOAD_BYTES = 10
    assert send(ada, b"x" * 11).status_code == 422
    assert not Upload.objects.exists()


def test_a_repeated_upload_is_kept_once(ada, project):
    first, second = send(ada, key="k"), send(ada, key="k")
    assert first.json() == second.json()
    assert Upload.objects.count() == 1
    assert send(ada, b"other", key="k").status_code == 409
    assert Upload.objects.count() == 1


def test_a_body_that_is_no_multipart_is_refused(ada, project):
    assert ada.post("/datasets/upload", {"project": "grammar"}).status_code == 422
    broken = ada.client.post(
        "/api/v1/datasets/upload", b"--x\r\n", content_type="multipart/form-data"
    )
    assert broken.status_code == 400


def test_an_allowed_path_is_imported(ada, project, settings, tmp_path):
    (tmp_path / "corpus.txt").write_text("text")
    settings.IMPORT_ROOTS = [str(tmp_path)]
    body = {"project": "grammar", "path": str(tmp_path / "corpus.txt"), "name": "C"}
    run = ada.post("/datasets", body)
    assert run.status_code == 201
    assert run.json()["spec"]["file_name"] == "corpus.txt"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "http://127.0.0.1/x", "\n"])
def test_other_paths_are_not(path, ada, project, settings, tmp_path):
    settings.IMPORT_ROOTS = [str(tmp_path)]
    refused = ada.post("/datasets", {"project": "grammar", "path": path})
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "path"


ROWS = b'{"question": "1 + 1?", "answer": "2"}\n'


def test_a_kind_is_recognised_or_given(ada, project):
    run = send(ada, ROWS, name="rows.jsonl").json()
    assert run["spec"]["dataset_kind"] == "instructions"
    run = send(ada, ROWS, name="more.jsonl", kind="text-to-text").json()
    assert run["spec"]["dataset_kind"] == "text-to-text"
    found = ada.get("/datasets", kind="instructions").json()["items"]
    assert [item["name"] for item in found] == ["rows"]


def test_a_file_that_does_not_tell_is_asked_about(ada, project):
    refused = send(ada, b"a,b\nc,d\n", name="rows.csv")
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["field"] == "kind"
    assert "What are its rows?" in error["message"]
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "songs"}, "kind"),
        ({"kind": "labelled", "settings": '{"dataset_kind": "text"}'}, "kind"),
        ({"settings": '{"columns": {"text": "a"}}'}, "kind"),
        ({"kind": "labelled", "settings": '{"columns": {"prompt": "a"}}'}, None),
        ({"kind": "labelled", "settings": '{"columns": 5}'}, "columns"),
    ],
)
def test_a_wrong_kind_keeps_nothing(fields, field, ada, project):
    refused = send(ada, ROWS, name="rows.jsonl", **fields)
    assert refused.status_code == 422
    assert refused.json()["error"].get("field") == field
    assert not Upload.objects.exists()


def keep(caller, content=ROWS, name="rows.jsonl"):
    file = SimpleUploadedFile(name, content)
    return caller.client.post(
        "/api/v1/datasets/uploads", {"project": "grammar", "file": file}
    )


def test_a_kept_file_is_looked_at_mapped_and_brought_in(ada, project):
    kept = keep(ada)
    assert kept.status_code == 201
    address = f"/datasets/uploads/{kept.json()['id']}"
    seen = ada.post(f"{address}/look").json()
    assert (seen["kind"], seen["is_recognised"]) == ("instructions", True)
    assert seen["mapping"] == {"prompt": "question", "completion": "answer"}
    columns = {"prompt": "answer", "completion": "question"}
    body = {"kind": "instructions", "settings": {"columns": columns}}
    seen = ada.post(f"{address}/look", body).json()
    assert seen["rows"][0]["values"]["prompt"] == "2"
    run = ada.post(
        "/datasets", {"project": "grammar", "upload": kept.json()["id"], **body}
    )
    assert run.status_code == 201, run.content
    assert run.json()["spec"]["columns"] == columns
    assert ada.client.delete(f"/api/v1{address}").status_code == 409


def test_a_kept_file_is_forgotten(ada, project):
    address = f"/api/v1/datasets/uploads/{keep(ada).json()['id']}"
    assert ada.client.delete(address).status_code == 204
    assert not Upload.objects.exists()
    assert ada.client.delete(address).status_code == 404


def test_strangers_and_viewers_do_not_look(ada, vera, mallory, project):
    address = f"/datasets/uploads/{keep(ada).json()['id']}"
    assert mallory.post(f"{address}/look").status_code == 404
    assert vera.post(f"{address}/look").status_code == 403
    assert mallory.client.delete(f"/api/v1{address}").status_code == 404
    assert vera.client.delete(f"/api/v1{address}").status_code == 403
    assert keep(vera).status_code == 403
    assert keep(mallory).status_code == 404


@pytest.mark.parametrize("source", [{}, {"path": "x", "upload": 1}])
def test_one_source_is_given_not_none_and_not_two(source, ada, project):
    refused = ada.post("/datasets", {"project": "grammar", **source})
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "path"


def test_an_upload_of_another_project_is_not_found(ada, mallory, project):
    kept = keep(ada).json()["id"]
    own = mallory.user.memberships.get().project.slug
    assert (
        mallory.post("/datasets", {"project": own, "upload": kept}).status_code == 404
    )
