"""A served platform, a person with a token, and the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from runspec import IngestSpec
from trivium.accounts import services as accounts
from trivium.accounts.models import User
from trivium.cli.main import main
from trivium.datasets.models import Upload
from trivium.projects.models import Project
from trivium.projects.services import create_project
from trivium.runs import kinds
from trivium.runs.models import Run

ROOT = Path(__file__).resolve().parents[2]


class Answer(NamedTuple):
    """What one call of the program gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def ada(transactional_db) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def token(ada) -> str:
    return accounts.create_token(user=ada, name="test")[1]


@pytest.fixture
def project(ada) -> Project:
    return create_project(name="Grammar", created_by=ada)


@pytest.fixture
def ingest(project, ada) -> Run:
    upload = Upload.objects.create(
        project=project, created_by=ada, file_name="corpus.txt", path="uploads/x"
    )
    spec = IngestSpec(source=str(upload.pk), file_name="corpus.txt")
    return kinds.start_run(project=project, created_by=ada, spec=spec, name="Corpus")


@pytest.fixture
def environment(monkeypatch, tmp_path, token, live_server) -> dict[str, str]:
    values = {
        "TRIVIUM_CONFIG": str(tmp_path / "config" / "config.json"),
        "TRIVIUM_URL": live_server.url,
        "TRIVIUM_TOKEN": token,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def trivium(environment, capsys):
    """Call the program in this process."""

    def call(*argv: object) -> Answer:
        try:
            code = main([str(part) for part in argv])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return call


@pytest.fixture
def process(environment):
    """Call the program as a process of its own."""

    def call(*argv: object, **options: Any) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "trivium.cli", *map(str, argv)],
            env={
                **os.environ,
                **environment,
                "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'workers'}",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **options,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call
