"""Bringing data in: by upload, from the server, or the sample; then how it is read."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets import services
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.projects.models import Project
from trivium.runs.models import Run

NEW = "/p/grammar/data/new/"


@pytest.fixture
def send(bobs: Client):
    """Send a file as an engineer: `send(file=b"…", name="…")`."""

    def post(*, file: bytes | None = None, file_name: str = "corpus.txt", **fields):
        sent: dict[str, object] = {}
        if file is not None:
            sent["file"] = SimpleUploadedFile(file_name, file)
        return bobs.post(NEW, sent | fields)

    return post


@pytest.fixture
def bring_in(bobs: Client, send):
    """Send a file, and bring it in with these choices."""

    def post(file: bytes = b"x", file_name: str = "corpus.txt", **fields: object):
        address = send(file=file, file_name=file_name).headers["Location"]
        chosen = {
            "dataset_kind": "text",
            "text_rows": "paragraph",
            "bad_rows": "reject",
            "validation_fraction": "0.05",
        }
        return bobs.post(address, chosen | fields)

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


def test_an_upload_is_kept_until_it_is_brought_in(send, bob: User, bobs: Client):
    response = send(file=b"Once.\n\nTwice.", name="Tales")
    upload = Upload.objects.get()
    address = reverse("datasets:upload", args=["grammar", upload.pk])
    assert response.headers["Location"] == f"{address}?name=Tales"
    assert (upload.file_name, upload.created_by, upload.size_bytes) == (
        "corpus.txt",
        bob,
        13,
    )
    assert storage.local_copy(upload.path).read_bytes() == b"Once.\n\nTwice."
    assert not Run.objects.exists()
    assert f'href="{address}"' in bobs.get(NEW).text


def test_what_was_looked_at_becomes_a_queued_run(bring_in):
    response = bring_in(b"Once.\nTwice.", name="Tales", text_rows="line")
    run = Run.objects.get()
    assert response.headers["Location"] == reverse(
        "runs:detail", args=["grammar", run.pk]
    )
    assert (run.state, run.kind) == ("queued", "ingest")
    assert run.spec["source"] == str(Upload.objects.get().pk)
    assert run.spec["text_rows"] == "line"
    assert str(DatasetVersion.objects.get(run=run)) == "Tales v1"


def test_columns_and_kind_go_into_the_spec(bring_in, bobs: Client):
    bring_in(
        b'{"q": "1"}',
        "rows.jsonl",
        dataset_kind="instructions",
        part_prompt="q",
        part_completion="a",
        part_input="",
        is_table="1",
    )
    run = Run.objects.get()
    assert run.spec["dataset_kind"] == "instructions"
    assert run.spec["columns"] == {"prompt": "q", "completion": "a"}
    assert Dataset.objects.get().kind == "instructions"
    assert "Instructions" in bobs.get("/p/grammar/data/").text


def test_the_name_of_a_dataset_makes_its_next_version(
    bring_in, version: DatasetVersion
):
    bring_in(b"More.", name="Fables")
    assert str(DatasetVersion.objects.latest("pk")) == "Fables v2"


def test_a_dataset_keeps_to_its_kind(bring_in, version: DatasetVersion):
    response = bring_in(
        b"text,label\na,b\n",
        "rows.csv",
        name="Fables",
        dataset_kind="labelled",
        part_text="text",
        part_label="label",
    )
    assert response.status_code == 422
    [sentence] = response.context["form"].errors["name"]
    assert "holds text, not labelled texts; give it another name" in sentence


@pytest.mark.parametrize(
    "file_name", ["../../etc/passwd", "<img src=x onerror=alert(1)>.txt", "\u202etxt"]
)
def test_a_hostile_file_name_is_never_a_path(file_name: str, bring_in, bobs: Client):
    bring_in(file_name=file_name)
    upload = Upload.objects.get()
    dataset = reverse("datasets:detail", args=["grammar", Dataset.objects.get().pk])
    assert upload.path.startswith("uploads/")
    assert upload.path.removeprefix("uploads/").isalnum()
    for address in (dataset, reverse("datasets:upload", args=["grammar", upload.pk])):
        page = bobs.get(address).text
        assert "<img src=x" not in page
        assert "\u202e" not in page


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "file"),
        ({"file": b""}, "file"),
        ({"file": b"x", "path": "/etc/passwd"}, "path"),
        ({"path": "/etc/passwd"}, "path"),
        ({"file": b"x", "name": "a" * 201}, "name"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(fields, field: str, send):
    response = send(**fields)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert 'role="alert"' in response.text or field == "path"
    assert nothing_is_kept()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"text_rows": "word"}, "text_rows"),
        ({"validation_fraction": "0.9"}, "validation_fraction"),
        ({"validation_fraction": "nan"}, "validation_fraction"),
        ({"dataset_kind": "songs"}, "dataset_kind"),
        ({"dataset_kind": ""}, "dataset_kind"),
    ],
)
def test_a_wrong_choice_starts_nothing(fields, field: str, bring_in):
    response = bring_in(**fields)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert 'role="alert"' in response.text
    assert not Run.objects.exists()
    assert not Dataset.objects.exists()


@pytest.mark.parametrize(
    ("kind", "parts", "missing"),
    [
        ("instructions", {"part_prompt": "q"}, "part_completion"),
        ("conversations", {"part_system": "q"}, "part_messages"),
        ("text", {"is_table": "1"}, "part_text"),
    ],
)
def test_a_row_without_its_parts_is_asked_for(kind, parts, missing, bring_in):
    response = bring_in(b'{"q": "1"}', "rows.jsonl", dataset_kind=kind, **parts)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [missing]
    assert "Choose the column that holds it." in response.text
    assert not Run.objects.exists()


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
    response = send(path=str(tmp_path / "open" / "book.txt"))
    assert Upload.objects.get().is_external
    assert "Once." in bobs.get(response.headers["Location"]).text


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


@pytest.mark.parametrize("kind", ["instructions", "preferences", "prompts"])
def test_samples_of_other_kinds_are_queued_in_one_click(
    kind: str, bobs: Client, project: Project
):
    page = bobs.get(reverse("datasets:new", args=[project.slug])).text
    assert f'name="kind" value="{kind}"' in " ".join(page.split())
    bobs.post(reverse("datasets:sample", args=[project.slug]), {"kind": kind})
    assert Run.objects.get().spec["dataset_kind"] == kind
    assert Dataset.objects.get().kind == kind


def test_there_is_no_sample_of_every_kind(bobs: Client, project: Project):
    address = reverse("datasets:sample", args=[project.slug])
    assert bobs.post(address, {"kind": "labelled"}).status_code == 404
    assert nothing_is_kept()


def test_a_full_queue_is_said(bring_in, bobs: Client, settings):
    settings.MAX_QUEUED_PER_USER = 1
    bring_in(name="First")
    assert bring_in(name="Second").status_code == 422
    assert Dataset.objects.count() == 1
    page = bobs.post(reverse("datasets:sample", args=["grammar"]), follow=True)
    assert "message--error" in page.text
    assert Dataset.objects.count() == 1


def test_a_file_nobody_came_back_for_is_forgotten(send, bring_in):
    send(file=b"left")
    bring_in(b"kept")
    left, kept = Upload.objects.order_by("pk")
    long_ago = timezone.now() - services.STALE_AFTER - timedelta(minutes=1)
    Upload.objects.update(created=long_ago)
    send(file=b"new")
    assert set(Upload.objects.values_list("pk", flat=True)) == {kept.pk, kept.pk + 1}
    with pytest.raises(FileNotFoundError):
        storage.local_copy(left.path)


def test_a_file_may_be_forgotten_unless_a_run_reads_it(send, bring_in, bobs: Client):
    send(file=b"x")
    upload = Upload.objects.get()
    forget = reverse("datasets:upload-forget", args=["grammar", upload.pk])
    assert "corpus.txt was forgotten." in bobs.post(forget, follow=True).text
    assert not Upload.objects.exists()
    bring_in()
    upload = Upload.objects.get()
    forget = reverse("datasets:upload-forget", args=["grammar", upload.pk])
    assert "a run reads corpus.txt." in bobs.post(forget, follow=True).text
    assert Upload.objects.exists()
