"""Whatever goes wrong, the answer has one shape."""

import pytest
from django.db import IntegrityError, OperationalError
from django.test import Client
from trivium.projects import services


@pytest.mark.parametrize("path", ["/nothing", "/runs/abc", "/runs/1/nothing", "/"])
def test_an_unknown_address_is_a_404_in_json(path, ada, shape):
    assert shape(ada.get(path)) == (404, "not_found")


def test_a_wrong_method_is_a_405_in_json(ada, shape):
    refused = ada.client.delete("/api/v1/projects")
    assert shape(refused) == (405, "method_not_allowed")
    assert set(refused["Allow"].split(", ")) == {"GET", "POST"}


def test_an_unknown_host_is_a_400_in_json(ada, shape):
    refused = ada.client.get("/api/v1/me", headers={"Host": "evil.example"})
    assert shape(refused) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[" * 100_000,
        '{"name": "a", "name": "b"}',
        '{"name": "\\u0000"}',
        "\xff",
        '{"name": ' + "9" * 5000 + "}",
    ],
)
def test_a_body_that_is_not_sound_json_is_a_400(body, ada, shape):
    assert shape(ada.post("/projects", body)) == (400, "invalid_request")


@pytest.mark.parametrize("body", ["[]", "1", "null", '"text"', '{"name": 1}', "{}"])
def test_a_body_of_the_wrong_shape_is_a_422(body, ada, shape):
    assert shape(ada.post("/projects", body)) == (422, "invalid_request")


def test_a_body_beyond_the_limit_is_a_413(ada, settings, shape):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    refused = ada.post("/projects", {"name": "x" * 2000})
    assert shape(refused) == (413, "too_large")


def test_an_unknown_field_is_named(ada, shape):
    refused = ada.post("/projects", {"name": "X", "is_staff": True})
    assert shape(refused) == (422, "invalid_request")
    assert refused.json()["error"]["field"] == "is_staff"


def test_an_unknown_parameter_is_named(ada, shape):
    refused = ada.get("/runs", password__startswith="a")
    assert shape(refused) == (422, "invalid_request")
    assert refused.json()["error"]["field"] == "password__startswith"


def test_a_wrong_setting_is_named_as_the_spec_names_it(ada, version):
    spec = {"kind": "pretrain", "dataset": str(version.pk), "tokenizer": "1"}
    body = {"project": "grammar", "spec": {**spec, "layers": 0, "colour": "red"}}
    error = ada.post("/runs", body).json()["error"]
    assert error["field"] == "layers"
    assert "colour: Extra inputs are not permitted" in error["message"]


def test_settings_that_do_not_fit_together_are_told_as_a_sentence(ada, version):
    spec = {"kind": "pretrain", "dataset": str(version.pk), "tokenizer": "1"}
    body = {"project": "grammar", "spec": {**spec, "width": 130}}
    error = ada.post("/runs", body).json()["error"]
    assert error == {
        "type": "invalid_request",
        "message": "width 130 is not a multiple of heads 4",
    }


def test_a_refusal_of_a_service_names_its_field(ada, project):
    body = {"project": "grammar", "spec": {"kind": "tokenizer", "dataset": "99"}}
    error = ada.post("/runs", body).json()["error"]
    assert error["field"] == "dataset"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RuntimeError("secret /srv/path"), (500, "internal_error")),
        (ValueError("secret"), (500, "internal_error")),
        (IntegrityError("secret UNIQUE"), (409, "conflict")),
        (OperationalError("secret host"), (503, "unavailable")),
    ],
)
def test_what_nobody_foresaw_tells_nothing(raised, expected, ada, monkeypatch, shape):
    def fail(**_):
        raise raised

    monkeypatch.setattr(services, "create_project", fail)
    refused = ada.post("/projects", {"name": "X"})
    assert shape(refused) == expected
    assert "secret" not in refused.content.decode()


def test_pages_keep_their_own_errors(db):
    refused = Client().get("/no-such-page")
    assert refused.status_code == 404
    assert refused["Content-Type"].startswith("text/html")
