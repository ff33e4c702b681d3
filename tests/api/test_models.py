"""Models through the API: importing, filtering, describing, downloading."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from tiny_models import zip_of
from trivium import storage
from trivium.datasets.models import Upload
from trivium.models.models import LanguageModel
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def model(project, tmp_path) -> LanguageModel:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "README.md").write_text("# Card")
    (folder / "config.json").write_text("{}")
    files = {
        path.name: {"size": path.stat().st_size, "sha256": "ab" * 32}
        for path in sorted(folder.iterdir())
    }
    return LanguageModel.objects.create(
        project=project,
        name="Fabler",
        stage="base",
        architecture="decoder",
        family="llama",
        path=storage.publish(folder, "models/fabler"),
        files=files,
    )


def upload(caller, settings: object = None, key: str = "", **fields: str):
    sent = {
        "project": "grammar",
        "file": SimpleUploadedFile("m.zip", zip_of({"config.json": b"{}"})),
        **fields,
    }
    if settings is not None:
        sent["settings"] = json.dumps(settings)
    headers = {"Idempotency-Key": key} if key else {}
    return caller.client.post("/api/v1/models/upload", sent, headers=headers)


def patch(caller, model, body):
    return caller.client.patch(
        f"/api/v1/models/{model.pk}", json.dumps(body), content_type="application/json"
    )


def test_an_upload_is_queued_once(ada, project):
    first = upload(ada, {"stage": "instruct"}, key="k", name="Mine")
    assert first.status_code == 201, first.content
    assert first.json()["output"]["noun"] == "model"
    assert upload(ada, {"stage": "instruct"}, key="k", name="Mine").json() == (
        first.json()
    )
    assert Run.objects.get().spec["stage"] == "instruct"
    assert Upload.objects.count() == 1


def test_a_hub_id_and_a_path_are_asked_for_apart(ada, project, settings, shape):
    settings.HUB = True
    body = {"project": "grammar", "hub_id": "org/model", "settings": {"revision": "v2"}}
    assert ada.post("/models", body).json()["spec"]["revision"] == "v2"
    assert shape(ada.post("/models", body | {"path": "/x"}))[0] == 422
    assert shape(ada.post("/models", {"project": "grammar"}))[0] == 422
    refused = ada.post("/models", body | {"settings": {"hub_id": "a/b"}})
    assert shape(refused) == (422, "invalid_request")


def test_a_hub_that_is_not_allowed_is_refused_by_every_way(ada, project, shape):
    refused = ada.post("/models", {"project": "grammar", "hub_id": "org/model"})
    assert refused.json()["error"]["field"] == "hub_id"
    spec = {"kind": "import", "hub_id": "org/model"}
    other = ada.post("/runs", {"project": "grammar", "spec": spec})
    assert shape(other) == (422, "invalid_request")
    assert "TRIVIUM_HUB=true" in other.json()["error"]["message"]
    assert not Run.objects.exists()


def test_a_folder_of_the_server_is_named(ada, project, settings, tmp_path):
    (tmp_path / "model").mkdir()
    settings.IMPORT_ROOTS = [str(tmp_path)]
    body = {"project": "grammar", "path": str(tmp_path / "model")}
    assert ada.post("/models", body).status_code == 201
    assert Upload.objects.get().is_external
    assert ada.post("/models", body | {"path": "/etc"}).status_code == 422


@pytest.mark.parametrize(
    ("chosen", "field"),
    [({"source": "7"}, "source"), ({"stage": "x"}, "stage"), ([], "settings")],
)
def test_wrong_settings_keep_nothing(ada, project, shape, chosen, field):
    refused = upload(ada, chosen)
    assert shape(refused)[0] == 422
    assert field in refused.json()["error"]["field"]
    assert not Upload.objects.exists()


def test_viewers_and_strangers_bring_nothing_in(vera, mallory, project, model):
    assert upload(vera).status_code == 403
    assert upload(mallory).status_code == 404
    body = {"project": "grammar", "hub_id": "a/b"}
    assert vera.post("/models", body).status_code == 403
    assert mallory.post("/models", body).status_code == 404
    assert patch(vera, model, {"licence": "mit"}).status_code == 403
    assert patch(mallory, model, {"licence": "mit"}).status_code == 404
    assert mallory.get(f"/models/{model.pk}/download").status_code == 404


def test_models_are_filtered(ada, model):
    def found(**wanted: str) -> int:
        return len(ada.get("/models", **wanted).json()["items"])

    assert found(stage="base", architecture="decoder", family="llama", q="fab") == 1
    assert found(stage="instruct") == found(family="bert") == found(q="x") == 0
    assert ada.get("/models", stage="best").status_code == 422


def test_licence_and_notes_are_patched_and_are_in_the_card(ada, model):
    answer = patch(ada, model, {"licence": "mit", "notes": "Mind it."})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["licence"], answer.json()["notes"]) == ("mit", "Mind it.")
    assert patch(ada, model, {"notes": ""}).json()["licence"] == "mit"
    assert patch(ada, model, {"name": "x"}).status_code == 422
    card = ada.get(f"/models/{model.pk}/files/README.md")
    assert b"license: mit" in card.content
    files = ada.get(f"/models/{model.pk}/files").json()["items"]
    listed = {file["name"]: file for file in files}
    assert listed["README.md"]["size"] == len(card.content)
    assert listed["config.json"]["sha256"] == "ab" * 32


def test_a_download_says_its_size_and_goes_on(ada, model):
    whole = ada.get(f"/models/{model.pk}/download")
    assert whole["Content-Type"] == "application/zip"
    assert whole["Accept-Ranges"] == "bytes"
    rest = ada.client.get(
        f"/api/v1/models/{model.pk}/download", headers={"Range": "bytes=5-"}
    )
    assert rest.status_code == 206
    assert int(rest["Content-Length"]) == int(whole["Content-Length"]) - 5
    assert ada.get(f"/models/{model.pk}/download", part="adapter").status_code == 404
    assert ada.get(f"/models/{model.pk}/download", part="x").status_code == 422
