"""Pipelines by API: made of YAML or JSON, read, tried again, edited, cancelled."""

import pytest
from pipelines_lab import (
    LABELED,
    THREE,
    elsewhere,
    fail,
    finish,
    make_model,
    make_version,
    step_of,
)
from trivium.pipelines.models import Pipeline
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def rows(project):
    for name, kind in (
        ("Text", "text"), ("Asked", "instructions"), ("Preferred", "preferences"),
    ):  # fmt: skip
        make_version(project, name, kind)


@pytest.fixture
def made(rows, ada):
    answer = ada.post("/pipelines", {"project": "grammar", "yaml": THREE})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_pipeline_of_yaml_is_described_by_its_steps(made, ada, vera):
    assert made["state"] == "queued"
    assert [step["name"] for step in made["steps"]] == [
        "tokenizer", "base", "instruct", "aligned",
    ]  # fmt: skip
    base = made["steps"][1]
    assert base["settings"] == {
        "dataset": "Text@1", "tokenizer": {"from": "tokenizer"}, "width": 32,
    }  # fmt: skip
    assert base["waits_for"] == ["tokenizer"]
    assert Run.objects.get(pk=base["run_id"]).kind == "pretrain"
    seen = vera.get(f"/pipelines/{made['id']}")
    assert seen.json() == made
    listed = vera.get("/pipelines", project="grammar").json()["items"]
    assert [one["num_steps"] for one in listed] == [4]


def test_what_it_says_as_yaml_makes_the_same_again(made, ada):
    text = ada.get(f"/pipelines/{made['id']}/yaml").json()["yaml"]
    again = ada.post("/pipelines", {"project": "grammar", "yaml": text}).json()
    assert again["name"] == "Stages 2"
    same = ("name", "kind", "settings", "waits_for")
    assert [[one[key] for key in same] for one in again["steps"]] == [
        [one[key] for key in same] for one in made["steps"]
    ]


def test_a_pipeline_is_made_once_by_key(rows, ada):
    body = {
        "project": "grammar",
        "description": {
            "name": "One",
            "steps": [{"name": "t", "kind": "tokenizer", "dataset": "Text"}],
        },
    }
    first = ada.post("/pipelines", body, key="k")
    assert first.status_code == 201
    assert ada.post("/pipelines", body, key="k").json() == first.json()
    assert Pipeline.objects.count() == 1


def test_a_failed_step_is_tried_again_and_edited(made, ada, shape):
    pipeline = Pipeline.objects.get()
    path = f"/pipelines/{pipeline.pk}/steps"
    assert shape(ada.post(f"{path}/base/retry")) == (409, "conflict")
    fail(step_of(pipeline, "tokenizer").run)
    seen = ada.get(f"/pipelines/{pipeline.pk}").json()
    assert seen["state"] == "failed"
    assert seen["steps"][1]["reason"].startswith("waits for step tokenizer, which")
    assert ada.post(f"{path}/tokenizer/retry").json()["state"] == "queued"
    finish(step_of(pipeline, "tokenizer").run)
    fail(step_of(pipeline, "base").run)
    changed = ada.change("PATCH", f"{path}/base", {"changes": {"layers": 2}})
    assert changed.status_code == 200, changed.content
    assert changed.json()["steps"][1]["settings"]["layers"] == 2
    wrong = ada.change("PATCH", f"{path}/base", {"changes": {"layers": "x"}})
    assert shape(wrong) == (422, "invalid_request")
    assert wrong.json()["error"]["field"] == "steps.base.layers"
    assert shape(ada.post(f"{path}/nothing/retry")) == (404, "not_found")


def test_a_cancelled_pipeline_is_forgotten_and_its_runs_stay(made, ada, shape):
    path = f"/pipelines/{made['id']}"
    assert shape(ada.change("DELETE", path, {})) == (409, "conflict")
    assert ada.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert shape(ada.post(f"{path}/cancel")) == (409, "conflict")
    num_runs = Run.objects.count()
    assert ada.change("DELETE", path, {}).status_code == 204
    assert not Pipeline.objects.exists()
    assert Run.objects.count() == num_runs


def test_strangers_see_nothing_and_viewers_change_nothing(
    made, vera, lara, mallory, shape
):
    path = f"/pipelines/{made['id']}"
    for who, status in ((mallory, 404), (vera, 403), (lara, 403)):
        for method, address, body in (
            ("POST", f"{path}/cancel", {}),
            ("POST", f"{path}/steps/base/retry", {}),
            ("PATCH", f"{path}/steps/base", {"changes": {}}),
            ("DELETE", path, {}),
            ("POST", "/pipelines", {"project": "grammar", "yaml": THREE}),
        ):
            assert who.change(method, address, body).status_code == status, address
    assert mallory.get(path).status_code == 404
    assert mallory.get(f"{path}/yaml").status_code == 404
    assert mallory.get("/pipelines").json()["items"] == []
    theirs = mallory.post("/pipelines", {"project": "elsewhere", "yaml": THREE})
    assert shape(theirs) == (422, "invalid_request")
    assert "this project has no dataset 'Text'" in theirs.json()["error"]["message"]


def test_labelers_are_not_told_who_answers(rows, project, ada, lara, vera):
    elsewhere(ada.user)
    make_version(project, "Prompts", "prompts")
    make_model(project, "Instruct")
    body = {"project": "grammar", "yaml": LABELED}
    path = f"/pipelines/{ada.post('/pipelines', body).json()['id']}"
    for who, is_told in ((ada, True), (vera, True), (lara, False)):
        settings = who.get(path).json()["steps"][0]["settings"]
        assert ("answerers" in settings) == is_told
        assert who.get(f"{path}/yaml").status_code == (200 if is_told else 403)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "either yaml or description"),
        ({"yaml": THREE, "description": {}}, "either yaml or description"),
        ({"yaml": "a: &a [1]\nb: *a"}, "aliases"),
        ({"description": {"name": "x"}}, "steps is missing"),
        ({"description": {"name": "x", "steps": [3]}}, "step 1"),
        ({"description": {"name": "x", "steps": [{"name": "a", "kind": 1}]}}, "step a"),
    ],
)
def test_a_wrong_body_is_refused_in_a_sentence(rows, ada, shape, body, said):
    answer = ada.post("/pipelines", {"project": "grammar", **body})
    assert shape(answer) == (422, "invalid_request")
    assert said in answer.json()["error"]["message"]
