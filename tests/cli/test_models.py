"""`trivium models …` against a real server."""

import io
import tarfile

import pytest
from trivium import storage
from trivium.datasets.models import Upload
from trivium.models.models import LanguageModel
from trivium.models.services import publish_model
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def model(project, tmp_path) -> LanguageModel:
    folder = tmp_path / "made"
    (folder / "adapter").mkdir(parents=True)
    (folder / "README.md").write_text("# Card")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    run = Run(pk=1, fence=1)
    return LanguageModel.objects.create(
        project=project,
        name="Fabler",
        stage="base",
        architecture="decoder",
        family="llama",
        **publish_model(run, folder, {}),
    )


def test_a_folder_is_packed_and_sent_without_pickles(trivium, project, tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "pytorch_model.bin", "x.py"):
        (folder / name).write_text(name)
    done = trivium("models", "import", folder, "--stage", "instruct")
    assert (done.code, done.err) == (0, "")
    run, upload = Run.objects.get(), Upload.objects.get()
    assert f"run {run.pk} queued: import my model (makes model" in done.out
    assert run.spec["stage"] == "instruct"
    content = storage.local_copy(upload.path).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        names = packed.getnames()
    assert names == ["my model/config.json", "my model/model.safetensors"]


def test_an_archive_a_server_path_and_the_hub(trivium, project, settings, tmp_path):
    settings.HUB, settings.IMPORT_ROOTS = True, [str(tmp_path)]
    (tmp_path / "m.zip").write_bytes(b"PK")
    assert trivium("models", "import", tmp_path / "m.zip", "--name", "A").code == 0
    assert trivium("models", "import", "--server", tmp_path, "--name", "B").code == 0
    hub = trivium("models", "import", "--hub", "o/m", "--revision", "v1", "--json")
    assert hub.json["spec"]["revision"] == "v1"
    assert [run.name for run in Run.objects.order_by("pk")] == ["A", "B", "m"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "give either PATH or --hub ID"),
        (["x", "--hub", "o/m"], "give either PATH or --hub ID"),
        (["/no/such/file"], "cannot be read"),
        (["--hub", "o/m"], "may not reach the Hugging Face Hub"),
        (["--hub", "o/m", "--colour"], "--colour"),
        (["--hub", "o/m", "--stage", "best"], "stage"),
    ],
)
def test_a_wrong_import_says_why(argv, said, trivium, project):
    refused = trivium("models", "import", *argv)
    assert refused.code != 0
    assert said in refused.err
    assert not Run.objects.exists()


def test_models_are_narrowed_and_described(trivium, model, tmp_path):
    assert "Fabler" in trivium("models", "list", "--family", "llama").out
    assert "Fabler" not in trivium("models", "list", "--stage", "reward").out
    notes = tmp_path / "notes.md"
    notes.write_text("Mind it.")
    done = trivium("models", "describe", model.pk, "--licence", "mit", "--notes", notes)
    assert (done.code, done.out) == (0, f"model {model.pk} described\n")
    model.refresh_from_db()
    assert (model.licence, model.notes) == ("mit", "Mind it.")
    assert trivium("models", "describe", model.pk).code == 2


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("merged", {"README.md", "model.safetensors"}),
        ("adapter", {"README.md", "adapter_config.json"}),
        ("whole", {"README.md", "model.safetensors", "adapter/adapter_config.json"}),
    ],
)
def test_a_part_is_downloaded(part, names, trivium, model, tmp_path):
    target = tmp_path / "target"
    done = trivium("models", "download", model.pk, target, "--part", part)
    assert (done.code, done.err) == (0, "")
    found = {
        path.relative_to(target).as_posix()
        for path in target.rglob("*")
        if path.is_file()
    }
    assert found == names
    assert b"## Names in Trivium" in (target / "README.md").read_bytes()
