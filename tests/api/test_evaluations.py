"""Evaluations by programs: made with good defaults, read with all they measured."""

import pytest
from evaluations_lab import facts_of, row
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.evaluations.models import Evaluation
from trivium.evaluations.taking_in import row_of
from trivium.models.models import LanguageModel
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def evaluation(project, ada) -> Evaluation:
    made = Evaluation.objects.create(
        project=project, name="First", facts=facts_of(), created_by=ada.user
    )
    for place in range(5):
        row_of(made, place, row(place, "Nobody knows.")).save()
    return made


@pytest.fixture
def prompts(project) -> DatasetVersion:
    dataset = Dataset.objects.create(project=project, name="Asked", kind="prompts")
    return dataset.versions.create(number=1, path="datasets/asked")


@pytest.fixture
def models(project) -> list[LanguageModel]:
    made = [
        LanguageModel.objects.create(
            project=project, name=name, stage=name.lower(), path=f"models/{name}",
            architecture="decoder",
        )
        for name in ("Base", "Instruct")
    ]  # fmt: skip
    made[1].parents.set(made[:1])
    return made


def test_all_that_was_measured_can_be_read(vera, evaluation):
    [listed] = vera.get("/evaluations").json()["items"]
    assert (listed["name"], listed["is_ready"]) == ("First", True)
    found = vera.get(f"/evaluations/{evaluation.pk}").json()
    assert found["baseline"] == 1
    won = next(one for one in found["measures"] if one["name"] == "win_rate")
    assert (won["outcome"], won["ties"], won["n"]) == ("better", 100, 200)
    assert found["sentences"][0].startswith("Aligned is better at")
    answers = vera.get(f"/evaluations/{evaluation.pk}/answers", limit=2).json()
    assert [one["number"] for one in answers["items"]] == [4, 3]
    assert answers["next_cursor"]
    wrong = vera.get(f"/evaluations/{evaluation.pk}/answers", show="wrong").json()
    assert [one["number"] for one in wrong["items"]] == [4, 2, 1]


def test_one_is_made_with_what_the_page_would_offer(ada, models, prompts, project):
    made = ada.post("/evaluations", {"project": "grammar", "model": models[1].pk})
    assert made.status_code == 201, made.content
    run = made.json()
    evaluation = Evaluation.objects.get()
    assert run["output"] == {
        "noun": "evaluation", "id": evaluation.pk, "name": "Base → Instruct",
        "is_ready": False,
    }  # fmt: skip
    assert run["spec"]["models"] == ["grammar/Base", "grammar/Instruct"]
    assert run["spec"]["baseline"] == "grammar/Instruct"
    assert run["spec"]["datasets"] == [str(prompts.pk)]
    body = {
        "project": "grammar", "models": ["Base"], "datasets": [prompts.pk],
        "max_rows": 5, "truth": "tinyworld",
    }  # fmt: skip
    spec = ada.post("/evaluations", body).json()["spec"]
    assert (spec["models"], spec["baseline"]) == (["grammar/Base"], None)
    assert (spec["max_rows"], spec["truth"]) == (5, "tinyworld")
    by_kind = {"project": "grammar", "spec": {
        "kind": "evaluate", "models": ["Base"], "datasets": [str(prompts.pk)]
    }}  # fmt: skip
    assert ada.post("/runs", by_kind).json()["kind"] == "evaluate"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": 10**6}, "model"),
        ({"models": ["elsewhere/Secret"]}, "models"),
        ({"datasets": [10**6]}, "datasets"),
        ({"models": []}, "models"),
        ({"models": ["Base", "Base"]}, None),
        ({"max_rows": 0}, "max_rows"),
        ({"judge": "Base"}, "judge"),
        ({"sampling": {"seed": 3}}, None),
        ({"spec": {}}, "spec"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_made(changes, field, ada, models, prompts):
    refused = ada.post("/evaluations", {"project": "grammar"} | changes)
    assert refused.status_code == 422, refused.content
    error = refused.json()["error"]
    assert error["message"]
    if field:
        assert error["field"].split(".")[0] == field
    assert not Run.objects.exists()


def test_an_empty_project_has_nothing_to_evaluate(ada, project):
    refused = ada.post("/evaluations", {"project": "grammar"})
    assert refused.status_code == 422
    assert "no models yet" in refused.json()["error"]["message"]


def test_strangers_find_nothing_and_viewers_make_nothing(
    vera, lara, mallory, evaluation, models, prompts, shape
):
    for path in ("", "/answers"):
        refused = mallory.get(f"/evaluations/{evaluation.pk}{path}")
        assert shape(refused) == (404, "not_found")
    assert mallory.get("/evaluations").json()["items"] == []
    body = {"project": "grammar"}
    assert shape(mallory.post("/evaluations", body)) == (404, "not_found")
    for caller in (vera, lara):
        assert shape(caller.post("/evaluations", body)) == (403, "permission_denied")
    assert Evaluation.objects.count() == 1
