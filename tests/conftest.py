"""The cast, their project, and folders that belong to one test alone."""

import os
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from pytest_django import Settings
from trivium.accounts.models import User
from trivium.projects.models import Project, Role
from trivium.projects.services import add_member, create_project

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real and hostile example files, beside the checkout; not part of it."""
    folder = ROOT.parent / "shared"
    if not (folder / "data_bad").is_dir():
        pytest.skip(f"no example files at {folder}")
    return folder


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
) -> None:
    """Lay SQLite's test files where a child process with this home looks for them."""
    for connection in connections.all():
        if connection.vendor == "sqlite":
            file = "trivium" if connection.alias == "default" else connection.alias
            name = str(settings.HOME / f"{file}.sqlite3")
            connection.settings_dict["TEST"]["NAME"] = name


@pytest.fixture(autouse=True)
def own_folders(settings: Settings, tmp_path: Path) -> None:
    """Give each test a storage and a work folder of its own."""
    settings.STORAGE_URL = f"file://{tmp_path / 'storage'}"
    settings.WORK_DIR = tmp_path / "work"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "uploads"
    for folder in (settings.WORK_DIR, settings.FILE_UPLOAD_TEMP_DIR):
        folder.mkdir(mode=0o700, parents=True)


@pytest.fixture(autouse=True)
def take_threads_back() -> None:
    """Take back the threads torch got meanwhile: numba tells OpenMP of all cores.

    Two test processes whose threads wait for each other take many times as long.
    """
    if "torch" in sys.modules and "OMP_NUM_THREADS" in os.environ:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture
def alice(db: None) -> User:
    """An admin of the project, not of the installation."""
    return User.objects.create_user("alice")


@pytest.fixture
def project(alice: User) -> Project:
    """The project all of the cast but Mallory belong to."""
    return create_project(name="Grammar", created_by=alice)


@pytest.fixture
def bob(project: Project) -> User:
    """An engineer of the project."""
    return _member(project, "bob", Role.ENGINEER)


@pytest.fixture
def lara(project: Project) -> User:
    """A labeler of the project."""
    return _member(project, "lara", Role.LABELER)


@pytest.fixture
def vera(project: Project) -> User:
    """A viewer of the project."""
    return _member(project, "vera", Role.VIEWER)


@pytest.fixture
def mallory(db: None) -> User:
    """A stranger to the project, and the admin of one of her own."""
    user = User.objects.create_user("mallory")
    create_project(name="Elsewhere", created_by=user)
    return user


@pytest.fixture
def root(db: None) -> User:
    """An admin of the installation, member of nothing."""
    return User.objects.create_superuser("root")


def _member(project: Project, username: str, role: Role) -> User:
    user = User.objects.create_user(username)
    add_member(project=project, user=user, role=role)
    return user
