"""Bringing a model in: the form, the run, and the page of what came of it."""

import shutil
import threading
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from runspec import ImportSpec, SftSpec
from tiny_models import as_zip, edit_json, write_model
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases="__all__")

IMPORT = "/p/grammar/models/import/"


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture
def packed(llama: Path, tmp_path: Path) -> bytes:
    return as_zip(llama, tmp_path / "packed.zip").read_bytes()


@pytest.fixture
def bobs(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


def send(
    client: Client, content: bytes | None = None, file_name: str = "", **fields: str
):
    sent: dict[str, object] = {"stage": "auto", **fields}
    if content is not None:
        sent["file"] = SimpleUploadedFile(file_name or "my model.zip", content)
    return client.post(IMPORT, sent)


def carry_out(run: Run) -> LanguageModel:
    """Do what a worker does with an import."""
    from trainer.context import Context, Reporter
    from trainer.importing.stage import run_import

    folder = storage.run_folder(run.pk)
    spec = kinds.resolve_spec(run)
    assert isinstance(spec, ImportSpec)
    results: list[dict[str, object]] = []
    report = Reporter(None)
    report.result = lambda **values: results.append(values)
    run_import(
        spec,
        context=Context(
            folder=folder,
            fence=1,
            resume=None,
            cache=folder,
            report=report,
            stop=threading.Event(),
        ),
    )
    values = kinds.publish_output(run, folder, results[0])
    kinds.record_output(run, values)
    Run.objects.filter(pk=run.pk).update(state=Run.State.SUCCEEDED)
    return LanguageModel.objects.get(run=run)


def nothing_is_kept() -> bool:
    folder = django_settings.FILE_UPLOAD_TEMP_DIR
    has_rows = Upload.objects.exists() or Run.objects.exists()
    return not has_rows and not any(folder.iterdir())


def test_an_upload_becomes_a_model_with_all_that_was_recognised(
    bobs: Client, packed: bytes
):
    response = send(bobs, packed, file_name="My Llama.zip")
    run = Run.objects.get()
    assert response.headers["Location"] == reverse(
        "runs:detail", args=["grammar", run.pk]
    )
    assert (run.kind, run.queue, run.name) == ("import", "cpu", "My Llama")
    waiting = LanguageModel.objects.get()
    assert (waiting.architecture, waiting.is_ready) == ("", False)
    assert "Known when it is imported" in bobs.get("/p/grammar/models/").text
    assert bobs.get(response.headers["Location"]).status_code == 200

    model = carry_out(run)
    assert (model.architecture, model.family, model.stage) == (
        "decoder",
        "llama",
        "base",
    )
    assert model.num_parameters > 1000
    assert model.origin == {"file": "My Llama.zip"}
    page = bobs.get(reverse("models:detail", args=["grammar", model.pk])).text
    for said in ("LlamaForCausalLM", "64 tokens", "My Llama.zip", "Chat template"):
        assert said in page
    assert f"?kind=sft&amp;model={model.pk}" in page
    assert f"?kind=pretrain&amp;base_model={model.pk}" in page
    assert "Read before using it" not in page


def test_a_folder_of_the_server_is_imported_with_its_warnings(
    bobs: Client, llama: Path, tmp_path: Path, settings
):
    folder = shutil.copytree(llama, tmp_path / "allowed" / "mine")
    edit_json(folder / "config.json", auto_map={"AutoModel": "<b>.Model"})
    settings.IMPORT_ROOTS = [str(tmp_path / "allowed")]
    send(bobs, path=str(folder), name="Mine", stage="instruct")
    model = carry_out(Run.objects.get())
    assert (model.stage, model.licence) == ("instruct", "")
    assert "config.json names (auto_map) was taken out" in model.warnings[0]
    page = bobs.get(reverse("models:detail", args=["grammar", model.pk])).text
    assert "Read before using it" in page
    assert "has warnings" in bobs.get("/p/grammar/models/").text
    assert (folder / "config.json").exists()


def test_a_refused_import_may_be_tried_again(bobs: Client, packed: bytes):
    send(bobs, packed)
    failed = Run.objects.get()
    Run.objects.update(
        state=Run.State.FAILED, error_class="bad_input", reason="no config.json"
    )
    failed.refresh_from_db()
    page = bobs.get(reverse("runs:detail", args=["grammar", failed.pk])).text
    assert "no config.json" in page
    again = kinds.retry_run(run=failed, actor=failed.created_by, changes={})
    assert LanguageModel.objects.get().run == again
    assert carry_out(again).family == "llama"


def test_a_path_elsewhere_is_refused(bobs: Client, llama: Path, settings):
    assert send(bobs, path=str(llama)).status_code == 422
    settings.IMPORT_ROOTS = ["/srv/models"]
    page = send(bobs, path=str(llama)).text
    assert "lies outside the allowed places" in page
    assert nothing_is_kept()


def test_the_hub_is_refused_where_no_admin_allowed_it(bobs: Client, settings):
    assert 'name="hub_id"' not in bobs.get(IMPORT).text
    refused = send(bobs, hub_id="org/model")
    assert refused.status_code == 422
    assert nothing_is_kept()
    settings.HUB = True
    assert 'name="hub_id"' in bobs.get(IMPORT).text
    assert send(bobs, hub_id="org/model", revision="v1").status_code == 302
    run = Run.objects.get()
    assert (run.spec["hub_id"], run.spec["revision"]) == ("org/model", "v1")
    assert run.name == "model"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Choose a file to send."),
        ({"hub_id": "../x"}, "is not a Hub id"),
        ({"hub_id": "a/b", "path": "/x"}, "not two"),
        ({"hub_id": "a/b", "revision": "a b"}, "is not a branch, tag or commit"),
        ({"hub_id": "a/b", "stage": "best"}, "Select a valid choice"),
        ({"hub_id": "a/b", "name": "x\u202ey"}, "invisible character"),
    ],
)
def test_a_wrong_form_says_why(bobs: Client, settings, fields, says):
    settings.HUB = True
    refused = send(bobs, **fields)
    assert refused.status_code == 422
    assert says in refused.text.replace("&#x27;", "'")
    assert nothing_is_kept()


def test_an_upload_too_large_is_refused_before_it_is_read(bobs: Client, settings):
    settings.MAX_UPLOAD_BYTES = 10
    refused = bobs.post(
        IMPORT, b"x", content_type="application/x", CONTENT_LENGTH=str(2 * 10**9)
    )
    assert refused.status_code == 413
    assert "Ask an admin to allow a server path instead" in refused.text


def test_an_upload_needs_the_token_of_its_form(bob: User, packed: bytes):
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    assert send(client, packed).status_code == 403
    assert nothing_is_kept()


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd.zip", "<img src=x onerror=alert(1)>.zip", "\u202ep.zip"],
)
def test_a_hostile_file_name_is_never_a_path(bobs: Client, packed: bytes, name: str):
    send(bobs, packed, file_name=name)
    model = carry_out(Run.objects.get())
    page = bobs.get(reverse("models:detail", args=["grammar", model.pk])).text
    assert "<img src=x" not in page
    assert "/" not in model.origin["file"]


def test_a_name_that_is_taken_keeps_nothing(bobs: Client, project: Project, packed):
    LanguageModel.objects.create(project=project, name="Mine", path="models/x")
    refused = bobs.post(
        IMPORT,
        {"stage": "auto", "name": "Mine", "file": SimpleUploadedFile("x.zip", packed)},
    )
    assert refused.status_code == 422
    assert "exists already" in refused.text
    assert nothing_is_kept()


def test_nothing_is_taught_to_what_is_not_known_yet(bobs: Client, bob, packed: bytes):
    send(bobs, packed)
    model = LanguageModel.objects.get()
    dataset = Dataset.objects.create(
        project=model.project, name="Chats", kind="instructions"
    )
    version = DatasetVersion.objects.create(dataset=dataset, number=1, path="x")
    spec = SftSpec(model=str(model.pk), datasets=(str(version.pk),), max_steps=1)
    with pytest.raises(SubmitError, match="still being imported"):
        kinds.start_run(project=model.project, created_by=bob, spec=spec)


def test_labelers_and_strangers_import_nothing(
    client: Client, lara: User, mallory: User, packed: bytes
):
    for user, status in ((lara, 403), (mallory, 404)):
        client.force_login(user)
        assert client.get(IMPORT).status_code == status
        assert send(client, packed).status_code == status
    client.logout()
    assert send(client, packed).status_code == 302
    assert nothing_is_kept()


def test_models_are_narrowed_by_what_they_are(bobs: Client, project: Project):
    for name, stage, architecture, family in (
        ("one", "base", "decoder", "llama"),
        ("two", "instruct", "decoder", "gpt2"),
        ("three", "base", "encoder", "bert"),
    ):
        LanguageModel.objects.create(
            project=project,
            name=name,
            stage=stage,
            architecture=architecture,
            family=family,
        )

    def listed(**wanted: str) -> list[str]:
        found = bobs.get("/p/grammar/models/", wanted).context["paged"]
        return [str(model) for model in found]

    assert listed() == ["three", "two", "one"]
    assert listed(stage="base") == ["three", "one"]
    assert listed(stage="base", architecture="decoder") == ["one"]
    assert listed(family="bert", q="thr") == ["three"]
    assert listed(family="nothing") == ["three", "two", "one"]


def test_what_needs_a_model_is_named_before_anyone_deletes_it(
    bobs: Client, bob: User, project: Project
):
    model = LanguageModel.objects.create(project=project, name="Base", path="models/x")
    Run.objects.create(
        project=project,
        created_by=bob,
        kind="sft",
        name="Teaching",
        spec={"model": str(model.pk)},
        spec_sha256="",
    )
    page = bobs.get(reverse("models:detail", args=["grammar", model.pk])).text
    assert "run Teaching" in page
    assert "Delete this model" not in page
    bobs.post(reverse("models:delete", args=["grammar", model.pk]))
    assert LanguageModel.objects.exists()
