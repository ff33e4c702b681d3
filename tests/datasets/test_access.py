"""Who may look at data, and who may bring it in or delete it."""

import pytest
from django.test import Client
from django.urls import reverse
from trivium.accounts.models import User
from trivium.datasets.models import DatasetVersion, Upload
from trivium.projects.models import Project

READ = ["list", "detail", "version-rows"]
WRITE = ["new", "sample", "version-delete", "upload", "upload-forget"]


@pytest.fixture
def url(version: DatasetVersion, project: Project):
    """Addresses of the pages of data, by name."""
    upload = Upload.objects.create(
        project=project, file_name="a.txt", path="uploads/x", created_by=None
    )
    keys = {
        "detail": [version.dataset_id],
        "version-delete": [version.pk],
        "version-rows": [version.pk],
        "upload": [upload.pk],
        "upload-forget": [upload.pk],
    }
    return lambda name: reverse(
        f"datasets:{name}", args=["grammar", *keys.get(name, [])]
    )


@pytest.mark.parametrize("name", READ)
def test_every_member_may_read(name, url, client: Client, vera: User):
    client.force_login(vera)
    assert client.get(url(name)).status_code == 200


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("who", ["vera", "lara"])
def test_low_roles_may_not_write(name, who, url, client: Client, request):
    client.force_login(request.getfixturevalue(who))
    assert client.post(url(name)).status_code == 403
    assert DatasetVersion.objects.count() == 1
    assert Upload.objects.count() == 1


@pytest.mark.parametrize("name", ["new", "upload"])
def test_low_roles_do_not_see_the_form(name, url, client: Client, vera: User):
    client.force_login(vera)
    assert client.get(url(name)).status_code == 403


@pytest.mark.parametrize("name", READ + WRITE)
def test_a_stranger_finds_nothing(name, url, client: Client, mallory: User):
    client.force_login(mallory)
    send = client.post if name in WRITE else client.get
    response = send(url(name))
    assert response.status_code == 404
    assert "Fables" not in response.text
    assert DatasetVersion.objects.count() == 1


@pytest.mark.parametrize("name", READ + WRITE)
def test_anonymous_visitors_sign_in_first(name, url, client: Client):
    send = client.post if name in WRITE else client.get
    response = send(url(name))
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/accounts/login/")
    assert DatasetVersion.objects.count() == 1


@pytest.mark.parametrize("name", ["sample", "version-delete", "upload-forget"])
def test_a_link_changes_nothing(name, url, bobs: Client):
    assert bobs.get(url(name)).status_code == 405


@pytest.mark.parametrize("name", WRITE)
def test_writing_needs_the_csrf_token(name, url, bob: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    response = client.post(url(name))
    assert response.status_code == 403
    assert "too old to send from" in response.text
    assert DatasetVersion.objects.count() == 1
