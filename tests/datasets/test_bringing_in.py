"""Bringing data in: by upload, from the server, or the sample."""

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.projects.models import Project
from trivium.runs.models import Run

NEW = "/p/grammar/data/new/"


@pytest.fixture
def send(bobs: Client):
    """Send the form as an engineer: `send(file=b"…", name="…")`."""

    def post(*, file: bytes | None = None, file_name: str = "corpus.txt", **fields):
        sent: dict[str, object] = {
            "text_rows": "paragraph",
            "bad_rows": "reject",
            "validation_fraction": "0.05",
        }
        if file is not None:
            sent["file"] = SimpleUploadedFile(file_name, file)
        return bobs.post(NEW, sent | fields)

    return post


def nothing_is_kept() -> bool:
    folder = django_settings.FILE_UPLOAD_TEMP_DIR
    return not (
        Upload.objects.exists() or Dataset.objects.exists() or any(folder.iterdir())
    )


def test_the_form_says_how_much_is_taken(bobs: Client, settings):
    settings.MAX_UPLOAD_BYTES = 5_000_000
    page = bobs.get(NEW, {"name": "Fables"}).text
    assert "At most 5\xa0MB." in page
    assert 'data-max-bytes="5000000"' in page
    assert 'value="Fables"' in page
    assert 'name="path"' not in page


def test_an_upload_becomes_a_queued_run(send, bob: User):
    response = send(file=b"Once.\n\nTwice.", name="Tales", text_rows="line")
    run = Run.objects.get()
    assert response.headers["Location"] == reverse(
        "runs:detail", args=["grammar", run.pk]
    )
    upload = Upload.objects.get()
    assert (upload.file_name, upload.created_by, upload.size_bytes) == (
        "corpus.txt",
        bob,
        13,
    )
    assert storage.local_copy(upload.path).read_bytes() == b"Once.\n\nTwice."
    assert (run.state, run.kind) == ("queued", "ingest")
    assert run.spec["source"] == str(upload.pk)
    assert run.spec["text_rows"] == "line"
    assert str(DatasetVersion.objects.get(run=run)) == "Tales v1"


def test_the_name_of_a_dataset_makes_its_next_version(send, version: DatasetVersion):
    send(file=b"More.", name="Fables")
    assert str(DatasetVersion.objects.latest("pk")) == "Fables v2"


@pytest.mark.parametrize(
    "file_name", ["../../etc/passwd", "<img src=x onerror=alert(1)>.txt", "\u202etxt"]
)
def test_a_hostile_file_name_is_never_a_path(file_name: str, send, bobs: Client):
    send(file=b"x", file_name=file_name)
    upload = Upload.objects.get()
    dataset = reverse("datasets:detail", args=["grammar", Dataset.objects.get().pk])
    page = bobs.get(dataset).text
    assert upload.path.startswith("uploads/")
    assert upload.path.removeprefix("uploads/").isalnum()
    assert "<img src=x" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "file"),
        ({"file": b""}, "file"),
        ({"file": b"x", "path": "/etc/passwd"}, "path"),
        ({"path": "/etc/passwd"}, "path"),
        ({"file": b"x", "name": "a\u202eb"}, "name"),
        ({"file": b"x", "name": "a" * 201}, "name"),
        ({"file": b"x", "text_rows": "word"}, "text_rows"),
        ({"file": b"x", "validation_fraction": "0.9"}, "validation_fraction"),
        ({"file": b"x", "validation_fraction": "nan"}, "validation_fraction"),
        ({"file": b"x", "text_column": "c" * 201}, "text_column"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(fields, field: str, send):
    response = send(**fields)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert 'role="alert"' in response.text or field == "path"
    assert nothing_is_kept()


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_beyond_the_limit_is_refused(declared: bool, send, settings):
    settings.MAX_UPLOAD_BYTES = 10
    response = send(file=b"x" * (1_100_000 if declared else 11))
    assert response.status_code == (413 if declared else 422)
    assert "larger than" in response.text
    assert nothing_is_kept()


def test_an_allowed_server_path_is_named_not_copied(
    send, bobs: Client, settings, tmp_path
):
    settings.IMPORT_ROOTS = [str(tmp_path / "open")]
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "book.txt").write_text("Once.")
    assert 'name="path"' in bobs.get(NEW).text
    send(path=str(tmp_path / "open" / "book.txt"))
    upload = Upload.objects.get()
    assert upload.is_external
    assert Dataset.objects.get().name == "book"


@pytest.mark.parametrize("path", ["open/../secret.txt", "open/link.txt", "open"])
def test_other_server_paths_are_refused(path: str, send, settings, tmp_path):
    settings.IMPORT_ROOTS = [str(tmp_path / "open")]
    (tmp_path / "open").mkdir()
    (tmp_path / "secret.txt").write_text("hidden")
    (tmp_path / "open" / "link.txt").symlink_to(tmp_path / "secret.txt")
    response = send(path=str(tmp_path / path))
    assert response.status_code == 422
    assert "path" in response.context["form"].errors
    assert 'role="alert"' in response.text
    assert nothing_is_kept()


def test_the_sample_is_queued_in_one_click(bobs: Client, project: Project):
    response = bobs.post(reverse("datasets:sample", args=[project.slug]))
    run = Run.objects.get()
    assert response.headers["Location"].endswith(f"/runs/{run.pk}/")
    assert Dataset.objects.get().name == "Tiny World"


def test_a_full_queue_is_said_and_keeps_nothing(send, bobs: Client, settings):
    settings.MAX_QUEUED_PER_USER = 1
    send(file=b"x", name="First")
    response = send(file=b"y", name="Second")
    assert response.status_code == 422
    assert Upload.objects.count() == 1
    page = bobs.post(reverse("datasets:sample", args=["grammar"]), follow=True)
    assert "message--error" in page.text
    assert Upload.objects.count() == 1
