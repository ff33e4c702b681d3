"""The tab of checkpoints: what they take on disk, and deleting one."""

import pytest
from trivium.runs.models import Checkpoint, Run

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])


@pytest.fixture
def saved(pretrain, set_state):
    set_state(pretrain, "running", total_steps=1000, unit="steps")
    return [
        Checkpoint.objects.create(
            run=pretrain,
            step=step,
            fence=1,
            path=f"checkpoints/step-{step}",
            manifest_sha256="ab" * 32,
            size_bytes=50_000_000,
        )
        for step in (100, 200)
    ]


def test_the_tab_says_the_disk_used_and_to_be_used(bobs, pretrain, saved, url):
    page = bobs.get(url("detail", pretrain), {"tab": "checkpoints"})
    text = page.content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "100 MB" in text
    # Steps 500 and 1,000 are saved by the spec, never more than there are rows.
    assert page.context["disk"].most_bytes == 100_000_000


def test_a_finished_run_is_told_no_future(bobs, pretrain, saved, set_state, url):
    set_state(pretrain, "succeeded", lease_until=None)
    page = bobs.get(url("detail", pretrain), {"tab": "checkpoints"})
    assert b"At most, by the end" not in page.content


def test_an_engineer_deletes_one(bobs, pretrain, saved, url):
    page = bobs.post(url("delete-checkpoint", pretrain, saved[0].pk), follow=True)
    assert b"The checkpoint of step 100 was deleted." in page.content
    assert Checkpoint.objects.get().step == 200
    gone = bobs.post(url("delete-checkpoint", pretrain, saved[0].pk), follow=True)
    assert b"is gone" in gone.content


def test_what_is_needed_is_refused_in_words(bobs, pretrain, saved, url):
    page = bobs.post(url("delete-checkpoint", pretrain, saved[1].pk), follow=True)
    assert b"if its worker were lost" in page.content
    assert Checkpoint.objects.count() == 2


def test_only_engineers_delete(client, vera, mallory, pretrain, saved, url):
    address = url("delete-checkpoint", pretrain, saved[0].pk)
    for user, status in ((vera, 403), (mallory, 404)):
        client.force_login(user)
        assert client.post(address).status_code == status
    client.logout()
    assert client.post(address).status_code == 302
    assert Checkpoint.objects.count() == 2


def test_what_should_be_large_is_shown_as_it_was_measured(bobs, pretrain, saved, url):
    Run.objects.filter(pk=pretrain.pk).update(
        kind="sft", spec={"kind": "sft", "best_metric": "exact_match"}
    )
    for row, stored in zip(saved, (-0.25, -0.75), strict=True):
        Checkpoint.objects.filter(pk=row.pk).update(metric=stored)
    page = bobs.get(url("detail", pretrain), {"tab": "checkpoints"})
    assert [figure for _, figure in page.context["checkpoints"]] == [0.75, 0.25]
    text = page.content.decode()
    assert "Validation exact match" in text
    best = text.index(">best<")
    assert text.index("0.750") < best < text.index("0.250")
