"""What machines ask."""

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone
from trivium.accounts.models import ApiToken, User
from trivium.accounts.services import create_token
from trivium.pages import health
from trivium.runs.models import Run
from trivium.workers.models import Device, Worker


def bearer(user: User, scope: ApiToken.Scope = ApiToken.Scope.READ) -> dict[str, str]:
    _, secret = create_token(user=user, name="scraper", scope=scope)
    return {"Authorization": f"Bearer {secret}"}


def test_health_needs_no_sign_in(client: Client, db: None):
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}
    assert "no-store" in response.headers["Cache-Control"]


def test_health_is_503_while_the_database_does_not_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    class Gone:
        def cursor(self) -> None:
            raise DatabaseError

    monkeypatch.setattr(health, "connection", Gone())
    assert client.get("/healthz").status_code == 503


def test_metrics_count_runs_devices_and_workers(
    client: Client, root: User, pretrain: Run
):
    worker = Worker.objects.create(name="w", host="w", heartbeat=timezone.now())
    for index in range(2):
        Device.objects.create(worker=worker, kind="gpu", index=index, name="gpu")
    Device.objects.filter(index=0).update(run=pretrain)
    client.force_login(root)
    response = client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = response.text.splitlines()
    assert 'trivium_runs{state="queued"} 1.0' in lines
    assert 'trivium_runs{state="succeeded"} 2.0' in lines
    assert 'trivium_runs{state="failed"} 0.0' in lines
    assert 'trivium_devices{kind="gpu",state="busy"} 1.0' in lines
    assert 'trivium_devices{kind="cpu",state="free"} 0.0' in lines
    assert "trivium_workers 1.0" in lines


def test_an_admins_token_reads_metrics(client: Client, root: User):
    assert client.get("/metrics", headers=bearer(root)).status_code == 200


def test_others_do_not_read_metrics(client: Client, alice: User):
    assert client.get("/metrics", headers=bearer(alice)).status_code == 403
    client.force_login(alice)
    assert client.get("/metrics").status_code == 403


def test_metrics_ask_whoever_is_unknown_for_a_token(client: Client, root: User):
    wrong = [
        {},
        {"Authorization": "Bearer tv_wrong"},
        {"Authorization": "Basic cm9vdDpyb290"},
        bearer(root, ApiToken.Scope.INFERENCE),
    ]
    for headers in wrong:
        response = client.get("/metrics", headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
