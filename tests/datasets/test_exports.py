"""A version made of votes: claimed, published, and its files listed and sent."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.urls import reverse
from export_lab import chat, pair, vote
from runspec import ExportSpec
from runspec.labels import LabeledPair
from stage_lab import FakeContext
from trainer.exporting import run_export
from trivium.accounts.models import User
from trivium.datasets.models import DatasetVersion
from trivium.projects.models import Project
from trivium.runs import kinds, services
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run

PAIRS = [pair(n, chat(f"p{n}"), ("x", "y"), [vote(n, "a")]) for n in range(1, 5)]


@pytest.fixture
def submit(project: Project, bob: User):
    """Queue an export and claim the version it will fill."""

    def run_of(name: str = "Votes") -> Run:
        spec = ExportSpec(campaign="1", source_name="Which is better?")
        run = services.submit_run(
            project=project, created_by=bob, spec=spec, name=name, depends_on=[]
        )
        kinds.KINDS[ExportSpec].claim_output(run, spec, name)
        return run

    return run_of


def export(folder: Path, pairs: list[dict[str, Any]] = PAIRS) -> Path:
    """Run the stage; return the folder of the run."""
    folder.mkdir()
    source = folder / "campaign.jsonl"
    lines = [LabeledPair.model_validate(one).model_dump_json() for one in pairs]
    source.write_text("\n".join(lines))
    context: Any = FakeContext(folder)
    run_export(ExportSpec(campaign=str(source)), context=context)
    return folder


def publish(run: Run, folder: Path) -> DatasetVersion:
    kinds.record_output(run, kinds.publish_output(run, folder, {}))
    return DatasetVersion.objects.get(run=run)


@pytest.fixture
def exported(submit, tmp_path: Path) -> DatasetVersion:
    """A published version of four pairs."""
    return publish(submit(), export(tmp_path / "run"))


@pytest.fixture
def url(exported: DatasetVersion):
    return lambda name: reverse(
        "datasets:version-export", args=["grammar", exported.pk, name]
    )


def fetch(client: Client, address: str, **headers: str) -> tuple[Any, bytes]:
    """Ask the way an async server does."""

    async def ask() -> tuple[Any, bytes]:
        asking = AsyncClient()
        asking.cookies = client.cookies
        response: Any = await asking.get(address, headers=headers)
        return response, b"".join([part async for part in response.streaming_content])

    return async_to_sync(ask)()


def test_an_export_makes_a_version_of_preferences(exported: DatasetVersion):
    assert (exported.dataset.name, exported.dataset.kind) == ("Votes", "preferences")
    assert (exported.rows, exported.source_name) == (4, "Which is better?")
    files = exported.card["exports"]
    assert exported.size_bytes > sum(file["size"] for file in files)


def test_a_dataset_of_other_rows_takes_no_votes(submit, version: DatasetVersion):
    with pytest.raises(SubmitError, match="holds text, not preferences"):
        submit("Fables")


def test_exports_of_other_votes_stand_beside_each_other(submit, exported, tmp_path):
    more = [*PAIRS, pair(9, chat("p9"), ("x", "y"), [])]
    second = publish(submit(), export(tmp_path / "again", more))
    assert (second.number, second.rows) == (2, exported.rows)
    assert second.path != exported.path
    assert [one.card["exports"][1]["lines"] for one in (exported, second)] == [4, 5]


def test_the_page_lists_the_files_with_a_sentence_each(exported, url, client, vera):
    client.force_login(vera)
    page = client.get(
        reverse("datasets:detail", args=["grammar", exported.dataset_id])
    ).text
    for file in exported.card["exports"]:
        assert url(file["name"]) in page
        assert file["about"].partition(",")[0] in page


@pytest.mark.parametrize("name", ["votes.jsonl.gz", "README.md"])
def test_a_member_downloads_a_file_whole_or_the_rest_of_it(
    name, exported, url, client: Client, vera: User
):
    client.force_login(vera)
    whole, content = fetch(client, url(name))
    [told] = [file for file in exported.card["exports"] if file["name"] == name]
    assert len(content) == told["size"] == int(whole.headers["Content-Length"])
    assert f'filename="{name}"' in whole.headers["Content-Disposition"]
    assert whole.headers["Content-Security-Policy"] == "sandbox"
    rest, left = fetch(client, url(name), Range="bytes=10-")
    assert (rest.status_code, left) == (206, content[10:])


@pytest.mark.parametrize(
    "name", ["dataset.json", "train-00000.parquet", "..", "nothing.gz"]
)
def test_only_files_of_the_card_are_sent(name, url, client: Client, vera: User):
    client.force_login(vera)
    assert client.get(url(name)).status_code == 404


def test_a_stranger_downloads_nothing(url, client: Client, mallory: User):
    client.force_login(mallory)
    assert client.get(url("votes.jsonl.gz")).status_code == 404


def test_anonymous_visitors_sign_in_first(url, client: Client):
    response = client.get(url("votes.jsonl.gz"))
    assert response.headers["Location"].startswith("/accounts/login/")


def test_a_version_of_another_project_is_not_found(
    exported, client: Client, mallory: User
):
    client.force_login(mallory)
    own = mallory.memberships.get().project.slug
    address = reverse("datasets:version-export", args=[own, exported.pk, "README.md"])
    assert client.get(address).status_code == 404


def test_labelers_do_not_see_which_model_wrote_what(
    exported, url, client: Client, lara: User
):
    client.force_login(lara)
    assert client.get(url("votes.jsonl.gz")).status_code == 403
    address = f"/api/v1/datasets/{exported.dataset_id}/versions/1/exports/README.md"
    assert client.get(address).status_code == 403
    page = client.get(reverse("datasets:detail", args=["grammar", exported.dataset_id]))
    assert "Files for other tools" not in page.text


def test_programs_list_and_download_the_files(exported, client: Client, vera: User):
    client.force_login(vera)
    address = f"/api/v1/datasets/{exported.dataset_id}/versions/1/exports"
    items = json.loads(client.get(address).content)["items"]
    assert items == exported.card["exports"]
    _, sent = fetch(client, f"{address}/trl-explicit.jsonl.gz")
    [told] = [file for file in items if file["name"] == "trl-explicit.jsonl.gz"]
    assert hashlib.sha256(sent).hexdigest() == told["sha256"]
    assert client.get(f"{address}/dataset.json").status_code == 404


def test_a_version_that_was_brought_in_has_no_such_files(
    version: DatasetVersion, client: Client, vera: User
):
    client.force_login(vera)
    address = f"/api/v1/datasets/{version.dataset_id}/versions/1/exports"
    assert json.loads(client.get(address).content) == {"items": []}
    page = client.get(reverse("datasets:detail", args=["grammar", version.dataset_id]))
    assert "Files for other tools" not in page.text
