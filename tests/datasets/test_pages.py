"""The list of datasets and the page of one."""

import json
import re
import shutil
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from runspec import TokenizerSpec
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

LIST = "/p/grammar/data/"


def address(version: DatasetVersion) -> str:
    return reverse("datasets:detail", args=["grammar", version.dataset_id])


def preview(client: Client, version: DatasetVersion, **query: str | int):
    headers = {"HX-Request": "true", "HX-Target": "preview"}
    return client.get(address(version), query, headers=headers)


def poll(client: Client, version: DatasetVersion):
    headers = {"HX-Request": "true", "HX-Target": "progress"}
    return client.get(address(version), headers=headers)


def test_the_list_tells_rows_size_and_state(
    client: Client, vera: User, version: DatasetVersion, waiting: DatasetVersion
):
    client.force_login(vera)
    page = client.get(LIST).text
    assert page.index("Corpus") < page.index("Fables"), "the newest is first"
    assert "Queued" in page
    assert "Ready" in page
    assert "900\xa0B" in page
    assert "Bring data in" not in page


def test_the_list_polls_only_while_data_is_being_prepared(
    bobs: Client, version: DatasetVersion, waiting: DatasetVersion
):
    assert 'hx-trigger="every 3s"' in bobs.get(LIST).text.split('id="datasets"')[1]
    piece = bobs.get(LIST, headers={"HX-Request": "true"})
    assert piece.status_code == 200
    assert "<html" not in piece.text
    Run.objects.update(state=Run.State.CANCELLED)
    piece = bobs.get(LIST, headers={"HX-Request": "true"})
    assert piece.status_code == 286
    assert "hx-get" not in piece.text


def test_the_list_is_narrowed_by_name(
    bobs: Client, version: DatasetVersion, waiting: DatasetVersion
):
    page = bobs.get(LIST, {"q": "fab\0"})
    assert [item.name for item in page.context["paged"]] == ["Fables"]
    page = bobs.get(LIST, {"q": "<script>"})
    assert "No dataset is named like that" in page.text
    assert 'value="&lt;script&gt;"' in page.text


def test_an_empty_list_offers_upload_and_sample(bobs: Client):
    page = bobs.get(LIST).text
    assert f'action="{reverse("datasets:sample", args=["grammar"])}"' in page
    assert reverse("datasets:new", args=["grammar"]) in page


def test_an_empty_list_sends_a_viewer_to_an_engineer(client: Client, vera: User):
    client.force_login(vera)
    page = client.get(LIST).text
    assert "An engineer of this project" in page
    assert reverse("datasets:sample", args=["grammar"]) not in page


def test_a_dataset_shows_what_is_in_it(bobs: Client, version: DatasetVersion):
    page = bobs.get(address(version)).text
    assert "Fable number 1." in page
    assert "36 rows of 17 to 32 characters (78.3 %)" in page
    assert "2 rows are &lt;b&gt;repeated&lt;/b&gt;" in page
    assert f"?kind=tokenizer&amp;dataset={version.pk}" in page
    assert "fables.txt" in page


def test_the_next_step_has_the_version_chosen(bobs: Client, version: DatasetVersion):
    page = bobs.get(address(version)).text
    found = re.search(r'href="(\S+\?kind=tokenizer&amp;dataset=\d+)"', page)
    assert found is not None
    form = bobs.get(found[1].replace("&amp;", "&")).context["form"]
    assert str(form["dataset"].value()) == str(version.pk)


def test_a_viewer_sees_rows_but_no_button(
    client: Client, vera: User, version: DatasetVersion
):
    client.force_login(vera)
    page = client.get(address(version)).text
    assert "Fable number 1." in page
    assert "Delete this" not in page
    assert "Train a tokenizer on it" not in page


@pytest.mark.parametrize(
    ("page", "first", "last"),
    [("2", 21, 40), ("3", 41, 45), ("99", 41, 45), ("0", 1, 20), ("x", 1, 20)],
)
def test_the_preview_turns_pages(
    page: str, first: int, last: int, bobs: Client, version: DatasetVersion
):
    piece = preview(bobs, version, page=page)
    shown = [int(number) for number in re.findall(r"Fable number (\d+)\.", piece.text)]
    assert shown == list(range(first, last + 1))
    assert piece.text.strip().startswith('<section class="stack" id="preview"')


def test_the_preview_needs_no_script(bobs: Client, version: DatasetVersion):
    page = bobs.get(address(version), {"page": 2, "split": "train"}).text
    assert "Fable number 21." in page
    assert "page=3#preview" in page


def test_hostile_rows_are_shown_not_obeyed(bobs: Client, version: DatasetVersion):
    piece = preview(bobs, version, split="validation").text
    assert "&lt;script&gt;alert(&quot;row&quot;)&lt;/script&gt;" in piece
    assert "\u202e" not in piece
    assert ">RLO</span>" in piece


def test_an_unknown_split_falls_back_to_the_first(
    bobs: Client, version: DatasetVersion
):
    assert "Fable number 1." in preview(bobs, version, split="<x>").text


def test_a_hostile_name_is_escaped_everywhere(bobs: Client, version: DatasetVersion):
    name = '"><script>alert(1)</script>'
    Dataset.objects.update(name=name)
    DatasetVersion.objects.update(source_name=f"{name}\u202etxt")
    for url in (LIST, address(version), f"/p/grammar/data/new/?name={name}"):
        page = bobs.get(url).text
        assert "<script>alert" not in page
        assert "alert(1)" in page
        assert "\u202e" not in page


@pytest.mark.parametrize("number", ["2", "0", "x", "1'", "٣"])
def test_a_version_that_is_not_there_is_not_found(
    number: str, bobs: Client, version: DatasetVersion
):
    assert bobs.get(address(version), {"v": number}).status_code == 404


def test_versions_are_told_apart(bobs: Client, version: DatasetVersion):
    DatasetVersion.objects.create(dataset=version.dataset, number=2)
    assert bobs.get(address(version)).context["version"].number == 2
    page = bobs.get(address(version), {"v": "1"})
    assert page.context["version"] == version
    assert "?v=2" in page.text


def test_files_that_are_gone_are_said_to_be(bobs: Client, version: DatasetVersion):
    shutil.rmtree(storage.local_copy(version.path))
    page = bobs.get(address(version))
    assert page.status_code == 200
    assert "gone from storage" in page.text


def test_lineage_leads_to_what_was_made_of_it(
    bobs: Client, version: DatasetVersion, project: Project
):
    made = Tokenizer.objects.create(project=project, name="Letters", dataset=version)
    page = bobs.get(address(version)).text
    assert reverse("tokenizers:detail", args=["grammar", made.pk]) in page


def test_a_version_in_the_making_shows_its_progress(
    bobs: Client, waiting: DatasetVersion
):
    Run.objects.update(
        state=Run.State.RUNNING,
        lease_until=timezone.now() + timedelta(minutes=1),
        step=30,
        total_steps=120,
        unit="bytes",
        phase="reading",
    )
    page = bobs.get(address(waiting)).text
    assert 'hx-trigger="every 2s"' in page
    piece = poll(bobs, waiting)
    assert "30\xa0B of 120\xa0B" in piece.text
    assert 'value="0.2500"' in piece.text
    assert "HX-Refresh" not in piece.headers


def test_a_poll_after_the_end_reloads_the_page(bobs: Client, waiting: DatasetVersion):
    Run.objects.update(state=Run.State.SUCCEEDED)
    assert poll(bobs, waiting).headers["HX-Refresh"] == "true"


def test_a_rejected_file_shows_its_bad_rows(bobs: Client, waiting: DatasetVersion):
    assert waiting.run is not None
    Run.objects.update(state=Run.State.FAILED, reason="2 rows are bad.")
    output = storage.run_folder(waiting.run.pk) / "output"
    output.mkdir()
    first = [{"place": "line 3", "reason": "not JSON: <img src=x>"}]
    (output / "bad_rows.json").write_text(json.dumps({"count": 2, "first": first}))
    page = bobs.get(address(waiting)).text
    assert "2 rows are bad." in page
    again = reverse("datasets:upload", args=["grammar", Upload.objects.get().pk])
    assert f'href="{again}?name=Corpus"' in page
    assert "line 3" in page
    assert "&lt;img src=x&gt;" in page
    assert "?name=Corpus" in page


@pytest.mark.parametrize("content", ["", "[]", '{"count": "x", "first": 1}'])
def test_a_broken_list_of_bad_rows_hides_nothing_else(
    content: str, bobs: Client, waiting: DatasetVersion
):
    assert waiting.run is not None
    Run.objects.update(state=Run.State.FAILED, reason="It broke.")
    output = storage.run_folder(waiting.run.pk) / "output"
    output.mkdir()
    (output / "bad_rows.json").write_text(content)
    assert "It broke." in bobs.get(address(waiting)).text


def test_an_unused_version_is_deleted_with_its_dataset_and_files(
    bobs: Client, version: DatasetVersion, django_capture_on_commit_callbacks
):
    url = reverse("datasets:version-delete", args=["grammar", version.pk])
    assert f'action="{url}"' in bobs.get(address(version)).text
    with django_capture_on_commit_callbacks(execute=True):
        page = bobs.post(url, follow=True)
    assert "Fables v1 was deleted." in page.text
    assert page.redirect_chain[-1][0] == LIST
    assert not Dataset.objects.exists()
    with pytest.raises(FileNotFoundError):
        storage.local_copy(version.path)


def test_the_last_but_one_version_leaves_its_dataset(
    bobs: Client, version: DatasetVersion
):
    second = DatasetVersion.objects.create(dataset=version.dataset, number=2)
    url = reverse("datasets:version-delete", args=["grammar", second.pk])
    assert bobs.post(url).headers["Location"] == address(version)
    assert list(DatasetVersion.objects.all()) == [version]


def test_a_used_version_names_its_users_and_stays(
    bobs: Client, bob: User, version: DatasetVersion
):
    spec = TokenizerSpec(dataset=str(version.pk), vocabulary_size=300)
    kinds.start_run(
        project=version.dataset.project, created_by=bob, spec=spec, name="Letters"
    )
    page = bobs.get(address(version)).text
    assert "tokenizer Letters" in page
    assert "Delete this" not in page
    url = reverse("datasets:version-delete", args=["grammar", version.pk])
    page = bobs.post(url, follow=True).text
    assert "Fables v1 is used by tokenizer Letters" in page
    assert DatasetVersion.objects.filter(pk=version.pk).exists()


def test_a_version_among_others_of_a_run_stays(
    bobs: Client, bob: User, version: DatasetVersion
):
    Run.objects.create(
        project=version.dataset.project,
        created_by=bob,
        kind="sft",
        name="Tuning",
        spec={"kind": "sft", "model": "1", "datasets": ["999", str(version.pk)]},
    )
    url = reverse("datasets:version-delete", args=["grammar", version.pk])
    assert "is used by run" in bobs.post(url, follow=True).text
    assert DatasetVersion.objects.filter(pk=version.pk).exists()


def test_a_version_being_filled_is_not_deleted(bobs: Client, waiting: DatasetVersion):
    url = reverse("datasets:version-delete", args=["grammar", waiting.pk])
    assert "is used by run" in bobs.post(url, follow=True).text
    assert DatasetVersion.objects.filter(pk=waiting.pk).exists()


def test_a_version_of_another_project_is_not_found(
    client: Client, mallory: User, version: DatasetVersion
):
    client.force_login(mallory)
    own = mallory.memberships.get().project.slug
    for url in (
        reverse("datasets:detail", args=[own, version.dataset_id]),
        reverse("datasets:version-delete", args=[own, version.pk]),
    ):
        assert client.get(url).status_code in {404, 405}
        assert client.post(url).status_code in {404, 405}
    assert DatasetVersion.objects.filter(pk=version.pk).exists()
