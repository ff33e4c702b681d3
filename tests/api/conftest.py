"""People with tokens, and a project with one object of each kind."""

import json
from typing import Any

import pytest
from campaigns_lab import World, build
from django.test import Client
from runspec import IngestSpec, TokenizerSpec
from trivium.accounts import services as accounts
from trivium.accounts.models import ApiToken, User
from trivium.campaigns.models import Campaign
from trivium.campaigns.questions import Questions
from trivium.datasets.models import DatasetVersion, Upload
from trivium.projects.models import Membership, Project, Role
from trivium.projects.services import create_project
from trivium.runs import kinds
from trivium.runs.models import Run


class Caller:
    """A program with a token."""

    def __init__(self, user: User, scope: ApiToken.Scope = ApiToken.Scope.FULL):
        self.user = user
        _, self.token = accounts.create_token(user=user, name="test", scope=scope)
        self.client = Client(
            headers={"Authorization": f"Bearer {self.token}"},
            raise_request_exception=False,
        )

    def get(self, path: str, **params: Any):
        return self.client.get(f"/api/v1{path}", params)

    def post(self, path: str, body: Any = None, *, key: str = ""):
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(
            f"/api/v1{path}",
            body.encode(errors="surrogatepass")
            if isinstance(body, str)
            else json.dumps(body or {}),
            content_type="application/json",
            headers=headers,
        )

    def change(self, method: str, path: str, body: Any):
        return self.client.generic(
            method, f"/api/v1{path}", json.dumps(body), "application/json"
        )


@pytest.fixture
def ada(db) -> Caller:
    """An engineer."""
    return Caller(User.objects.create_user("ada"))


@pytest.fixture
def vera(db) -> Caller:
    """A viewer."""
    return Caller(User.objects.create_user("vera"))


@pytest.fixture
def mallory(db) -> Caller:
    """A stranger, with a project of her own."""
    caller = Caller(User.objects.create_user("mallory"))
    create_project(name="Elsewhere", created_by=caller.user)
    return caller


@pytest.fixture
def project(ada, vera) -> Project:
    made = create_project(name="Grammar", created_by=ada.user)
    Membership.objects.create(project=made, user=vera.user, role=Role.VIEWER)
    return made


@pytest.fixture
def lara(project) -> Caller:
    """A labeler."""
    caller = Caller(User.objects.create_user("lara"))
    Membership.objects.create(project=project, user=caller.user, role=Role.LABELER)
    return caller


@pytest.fixture
def campaign(project, ada) -> Campaign:
    """A campaign of two models that asks for all there is, without any vote."""
    asked = dict.fromkeys(("strength", "acceptable", "axes", "reasons"), "optional")
    settings = {
        "name": "Helpful",
        "questions": Questions(**asked),
        "guidelines": "Prefer what **helps**.",
        **dict.fromkeys(("repeat_share", "gold_share", "shared_share"), 0),
    }
    world = World(
        num_prompts=6, strengths=(0, 1), people=(), share_voted=0, settings=settings
    )
    return build(project, ada.user, world)


@pytest.fixture
def ingest(project, ada) -> Run:
    """A queued ingest run, and with it a dataset version being prepared."""
    upload = Upload.objects.create(
        project=project, created_by=ada.user, file_name="corpus.txt", path="uploads/x"
    )
    spec = IngestSpec(source=str(upload.pk), file_name="corpus.txt")
    return kinds.start_run(
        project=project, created_by=ada.user, spec=spec, name="Corpus"
    )


@pytest.fixture
def version(ingest) -> DatasetVersion:
    return DatasetVersion.objects.get(run=ingest)


@pytest.fixture
def tokenizer_run(project, ada, version) -> Run:
    spec = TokenizerSpec(dataset=str(version.pk))
    return kinds.start_run(project=project, created_by=ada.user, spec=spec, name="Tok")


@pytest.fixture
def shape():
    """Check the shape of a refusal; returns its status and type."""

    def check(response) -> tuple[int, str]:
        error = response.json()["error"]
        assert set(error) <= {"type", "message", "field"}
        assert error["message"]
        return response.status_code, error["type"]

    return check
