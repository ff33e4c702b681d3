"""A POST repeated with its key is done once."""

from trivium.accounts.models import IdempotencyKey
from trivium.projects.models import Project
from trivium.runs.models import Run


def test_a_repeat_gets_the_same_answer_and_does_nothing(ada, version):
    spec = {"kind": "tokenizer", "dataset": str(version.pk)}
    body = {"project": "grammar", "spec": spec}
    first = ada.post("/runs", body, key="k1")
    second = ada.post("/runs", body, key="k1")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Run.objects.filter(kind="tokenizer").count() == 1


def test_the_same_key_with_another_body_is_refused(ada):
    ada.post("/projects", {"name": "One"}, key="k1")
    refused = ada.post("/projects", {"name": "Two"}, key="k1")
    assert refused.status_code == 409
    assert not Project.objects.filter(name="Two").exists()


def test_the_same_key_at_another_address_is_refused(ada, ingest):
    ada.post(f"/runs/{ingest.pk}/cancel", key="k1")
    assert ada.post(f"/runs/{ingest.pk}/pause", key="k1").status_code == 409


def test_a_key_belongs_to_one_person(ada, mallory):
    body = {"name": "One"}
    ids = {
        caller.post("/projects", body, key="k").json()["id"]
        for caller in (ada, mallory)
    }
    assert len(ids) == 2


def test_a_refused_request_does_not_spend_its_key(ada, project):
    body = {"project": "grammar", "spec": {"kind": "tokenizer", "dataset": "99"}}
    assert ada.post("/runs", body, key="k1").status_code == 422
    assert not IdempotencyKey.objects.exists()
    assert ada.post("/projects", {"name": "One"}, key="k1").status_code == 201


def test_without_a_key_each_post_counts(ada):
    slugs = {ada.post("/projects", {"name": "One"}).json()["slug"] for _ in range(2)}
    assert len(slugs) == 2


def test_an_overlong_key_is_refused(ada):
    assert ada.post("/projects", {"name": "One"}, key="k" * 201).status_code == 422
