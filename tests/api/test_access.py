"""Who may ask what: tokens, scopes, sessions, strangers, roles."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from trivium.accounts.models import ApiToken
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases="__all__")

READS = [
    "/projects/grammar",
    "/datasets/{dataset}",
    "/datasets/{dataset}/versions/1/exports",
    "/datasets/{dataset}/versions/1/exports/README.md",
    "/datasets/{dataset}/versions",
    "/datasets/{dataset}/versions/1",
    "/datasets/{dataset}/versions/1/rows",
    "/datasets/{dataset}/versions/1/rows.jsonl",
    "/tokenizers/{tokenizer}",
    "/tokenizers/{tokenizer}/files",
    "/tokenizers/{tokenizer}/files/tokenizer.json",
    "/runs/{run}",
    "/runs/{run}/metrics",
    "/runs/{run}/samples",
    "/runs/{run}/checkpoints",
    "/runs/{run}/warnings",
    "/runs/{run}/history",
    "/runs/{run}/log",
    "/runs/compare?id={run}",
    "/campaigns/{campaign}",
    "/campaigns/{campaign}/report",
]
WRITES = [
    ("/runs/{run}/cancel", {}),
    ("/runs/{run}/pause", {}),
    ("/runs/{run}/resume", {}),
    ("/runs/{run}/retry", {"changes": {}}),
    ("/runs/{run}/again", {}),
    (
        "/runs/{run}/sweep",
        {"axes": [{"setting": "vocabulary_size", "values": [300, 400]}]},
    ),
    (
        "/runs/{run}/sweep/preview",
        {"axes": [{"setting": "vocabulary_size", "values": [300, 400]}]},
    ),
    ("/runs/{run}/priority", {"priority": 5}),
    ("/runs", {"project": "grammar", "spec": {"kind": "tokenizer", "dataset": "1"}}),
    (
        "/tokenizers",
        {"project": "grammar", "spec": {"kind": "tokenizer", "dataset": "1"}},
    ),
    ("/datasets", {"project": "grammar", "path": "/srv/x.txt"}),
    ("/campaigns", {"project": "grammar", "name": "Mine", "prompts": ["Why?"]}),
    ("/campaigns/{campaign}/pause", {}),
    ("/campaigns/{campaign}/open", {}),
    ("/campaigns/{campaign}/close", {}),
    ("/campaigns/{campaign}/answers", {"prompts": ["Why?"]}),
    ("/campaigns/{campaign}/export", {}),
    ("/campaigns/{campaign}/judge", {"judge": "grammar/Tiny"}),
    ("/campaigns/{campaign}/tasks", {}),
    ("/campaigns/{campaign}/votes", {"key": "k", "choice": "tie", "ms_active": 1}),
    ("/campaigns/{campaign}/undo", {}),
    ("/campaigns/{campaign}/skip", {"key": "k"}),
    ("/campaigns/{campaign}/flags", {"key": "k", "reason": "Cut off"}),
]


def fill(path: str, run: Run) -> str:
    campaign = run.project.campaigns.first()
    return path.format(
        run=run.pk,
        tokenizer=run.tokenizer.pk,
        dataset=run.tokenizer.dataset.dataset_id,
        campaign=campaign.pk if campaign else 0,
    )


@pytest.mark.parametrize("path", READS)
def test_strangers_find_nothing(path, tokenizer_run, campaign, mallory, shape):
    assert shape(mallory.get(fill(path, tokenizer_run))) == (404, "not_found")


@pytest.mark.parametrize(("path", "body"), WRITES)
def test_strangers_write_nothing(path, body, tokenizer_run, campaign, mallory, shape):
    refused = mallory.post(fill(path, tokenizer_run), body)
    assert shape(refused) == (404, "not_found")
    tokenizer_run.refresh_from_db()
    assert (tokenizer_run.state, tokenizer_run.priority) == ("waiting", 0)
    campaign.refresh_from_db()
    assert campaign.state == "open"


@pytest.mark.parametrize(("path", "body"), WRITES)
def test_viewers_may_not_write(path, body, tokenizer_run, campaign, vera, shape):
    refused = vera.post(fill(path, tokenizer_run), body)
    assert shape(refused) == (403, "permission_denied")
    assert Run.objects.count() == 2


@pytest.mark.parametrize(
    "path", ["/projects", "/datasets", "/tokenizers", "/runs", "/campaigns"]
)
def test_lists_hold_only_what_is_visible(path, tokenizer_run, campaign, vera, mallory):
    assert mallory.get(path).json()["items"] == [] or path == "/projects"
    assert "Grammar" not in mallory.get(path).content.decode()
    assert len(vera.get(path).json()["items"]) >= 1


@pytest.mark.parametrize(
    "path",
    ["/me", "/runs", "/runs/1", "/workers", "/projects", "/generations/1", "/votes"],
)
def test_anonymous_callers_are_told_to_bring_a_token(path, db, shape):
    refused = Client().get(f"/api/v1{path}")
    assert shape(refused) == (401, "authentication_error")
    assert refused["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["", "tv_wrong", "tv_\xff", "Bearer", "tv_" * 9999])
def test_a_wrong_token_is_refused_even_with_a_session(token, ada, shape):
    client = Client()
    client.force_login(ada.user)
    refused = client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert shape(refused) == (401, "authentication_error")


def test_a_token_says_whom_it_stands_for(ada):
    assert ada.get("/me").json() == {"username": "ada", "is_admin": False}


@pytest.mark.parametrize(
    "change",
    [
        {"revoked": timezone.now()},
        {"expires": timezone.now() - timedelta(seconds=1)},
    ],
)
def test_revoked_and_expired_tokens_are_dead(change, ada):
    ApiToken.objects.update(**change)
    assert ada.get("/me").status_code == 401


def test_a_disabled_persons_token_is_dead(ada):
    ada.user.is_active = False
    ada.user.save(update_fields=["is_active"])
    assert ada.get("/me").status_code == 401


def test_a_reading_token_reads_and_does_not_write(ada, ingest, shape):
    reader = type(ada)(ada.user, ApiToken.Scope.READ)
    assert reader.get(f"/runs/{ingest.pk}").status_code == 200
    refused = reader.post(f"/runs/{ingest.pk}/cancel")
    assert shape(refused) == (403, "permission_denied")
    assert "scope" in refused.json()["error"]["message"]


def test_an_inference_token_reads_nothing_here(ada, ingest, shape):
    talker = type(ada)(ada.user, ApiToken.Scope.INFERENCE)
    assert shape(talker.get(f"/runs/{ingest.pk}")) == (403, "permission_denied")


def test_a_session_reads_and_needs_its_csrf_token_to_write(ada, project, shape):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada.user)
    assert client.get("/api/v1/me").status_code == 200
    refused = client.post(
        "/api/v1/projects", {"name": "X"}, content_type="application/json"
    )
    assert shape(refused) == (403, "permission_denied")

    client.cookies["csrftoken"] = "a" * 32
    allowed = client.post(
        "/api/v1/projects",
        {"name": "X"},
        content_type="application/json",
        headers={"X-CSRFToken": "a" * 32},
    )
    assert allowed.status_code == 201


def test_a_token_needs_no_csrf_token(ada):
    client = Client(enforce_csrf_checks=True)
    made = client.post(
        "/api/v1/projects",
        {"name": "X"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {ada.token}"},
    )
    assert made.status_code == 201


DELETIONS = ["/datasets/{dataset}/versions/1", "/tokenizers/{tokenizer}"]


@pytest.mark.parametrize("path", DELETIONS)
def test_deleting_takes_a_role_and_something_free(
    path, tokenizer_run, ada, vera, mallory, shape
):
    address = "/api/v1" + fill(path, tokenizer_run)
    assert shape(mallory.client.delete(address)) == (404, "not_found")
    assert shape(vera.client.delete(address)) == (403, "permission_denied")
    assert shape(ada.client.delete(address)) == (409, "conflict")
    for run in Run.objects.order_by("-pk"):
        ada.post(f"/runs/{run.pk}/cancel")
    if "dataset" in path:
        ada.client.delete(f"/api/v1/tokenizers/{tokenizer_run.tokenizer.pk}")
    assert ada.client.delete(address).status_code == 204
    assert shape(ada.client.delete(address)) == (404, "not_found")


def test_a_token_is_not_taken_from_the_query(ada):
    assert Client().get("/api/v1/me", {"token": ada.token}).status_code == 401


def test_an_admin_of_the_installation_sees_all(tokenizer_run, mallory):
    mallory.user.is_staff = True
    mallory.user.save(update_fields=["is_staff"])
    assert mallory.get(f"/runs/{tokenizer_run.pk}").status_code == 200
