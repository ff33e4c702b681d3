"""Conversations come in from files, go out as files, and become datasets."""

import json
from io import BytesIO

import pytest
from comparisons_lab import ASKED, compared
from django.urls import reverse
from runspec.layout import DatasetCard
from trivium import storage
from trivium.comparisons.services import record_vote, undo_vote
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.playground import collecting
from trivium.playground.models import Conversation
from trivium.runs.models import Run

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Which river?"},
    {"role": "assistant", "content": "The Nile.\n\nOr the Amazon: مرحبا"},
]
PAGES = ["exchange", "export-all", "export-preferences"]


def url(name: str, *args: int, slug: str = "grammar") -> str:
    return reverse(f"playground:{name}", args=[slug, *args])


def brought(project, user, *talks) -> list[Conversation]:
    return collecting.import_conversations(
        project=project,
        created_by=user,
        choice_id="grammar/Tiny",
        conversations=talks or (TALK,),
    )


def send(client, content: bytes, name: str = "talks.jsonl"):
    file = BytesIO(content)
    file.name = name
    return client.post(url("import"), {"file": file})


def lines(response) -> list[dict]:
    return [json.loads(line) for line in b"".join(response).splitlines()]


def test_a_conversation_comes_back_as_it_went_out(client, vera, project):
    [talk] = brought(project, vera)
    client.force_login(vera)
    sent = client.get(url("export", talk.pk))
    assert "which-river.jsonl" in sent["Content-Disposition"]
    [row] = lines(sent)
    assert row == {"messages": TALK}

    answer = send(client, json.dumps(row).encode())
    again = Conversation.objects.latest("pk")
    assert answer.headers["Location"] == url("conversation", again.pk)
    assert collecting.messages_in(again) == TALK
    assert again.system == "Be brief."
    assert again.title == "Which river?"


def test_a_file_with_a_bad_line_brings_nothing_in_and_names_it(client, vera, project):
    good = json.dumps({"messages": TALK})
    client.force_login(vera)
    page = send(client, f'{good}\n{{"messages": 3}}\n<b>'.encode())
    assert page.status_code == 422
    assert "Line 2: messages is no list" in page.text
    assert "Line 3: it is no JSON" in page.text
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_a_file_that_holds_none_is_refused(client, vera, project, content):
    client.force_login(vera)
    assert send(client, content).status_code == 422


def test_a_file_that_is_too_large_is_refused(client, vera, project, monkeypatch):
    monkeypatch.setattr("trivium.playground.forms_beside.MAX_BYTES", 10)
    client.force_login(vera)
    page = send(client, json.dumps({"messages": TALK}).encode())
    assert page.status_code == 422
    assert "larger than" in page.text


def test_all_of_ones_own_go_out_and_no_others(client, vera, bob, project):
    brought(project, vera, TALK, TALK[1:])
    brought(project, bob)
    hidden, *_ = brought(project, vera)
    Conversation.objects.filter(pk=hidden.pk).update(deleted="2026-01-01T00:00Z")
    client.force_login(vera)
    rows = lines(client.get(url("export-all")))
    assert [row["messages"] for row in rows] == [TALK[1:], TALK]


def test_a_shared_conversation_can_be_taken_out_and_a_private_one_not(
    client, vera, bob, project
):
    private, shared = brought(project, bob, TALK, TALK)
    Conversation.objects.filter(pk=shared.pk).update(is_shared=True)
    client.force_login(vera)
    assert client.get(url("export", private.pk)).status_code == 404
    assert lines(client.get(url("export", shared.pk))) == [{"messages": TALK}]


def test_votes_go_out_as_chosen_and_rejected_and_ties_stay(client, vera, lara, project):
    votes = [
        record_vote(
            comparison=compared(project, lara, f"a{n}", f"b{n}"),
            labeler=lara,
            choice=choice,
            shown_left="a",
            ms_active=1,
            key=str(n),
        )
        for n, choice in enumerate(["b", "tie", "both_bad", "a", "a"])
    ]
    undo_vote(votes[-1])
    client.force_login(vera)
    rows = lines(client.get(url("export-preferences")))
    assert [(r["chosen"][0]["content"], r["rejected"][0]["content"]) for r in rows] == [
        ("b0", "a0"),
        ("a3", "b3"),
    ]
    assert rows[0]["prompt"] == ASKED
    assert rows[0]["chosen"][0]["role"] == "assistant"
    assert "2 preferences" in client.get(url("exchange")).text


def test_a_text_that_was_gone_on_with_is_no_conversation(project, lara):
    pair = compared(project, lara)
    pair.prompt = "The longest river"
    pair.save(update_fields=["prompt"])
    vote = record_vote(
        comparison=pair, labeler=lara, choice="a", shown_left="a", ms_active=1, key="k"
    )
    assert collecting.preference_of(vote) == {
        "prompt": "The longest river",
        "chosen": "The Nile.",
        "rejected": "The Amazon.",
    }


def collect(client, *talks: Conversation, name: str = "Talks"):
    sent = {"name": name, "conversation": [str(talk.pk) for talk in talks]}
    return client.post(url("collect"), sent)


def uploaded() -> list[dict]:
    key = Upload.objects.latest("pk").path
    text = storage.local_copy(key).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_conversations_become_a_dataset(client, bob, project):
    open_end = [*TALK, {"role": "user", "content": "And then?"}]
    talks = brought(project, bob, TALK, open_end, TALK[1:])
    client.force_login(bob)
    answer = collect(client, *talks[:2])
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse(
        "runs:detail", args=["grammar", run.pk]
    )
    assert run.spec["dataset_kind"] == "conversations"
    assert Dataset.objects.get().name == "Talks"
    # What nobody answered is left out: there is nothing in it to learn.
    assert uploaded() == [{"messages": TALK}] * 2


def test_a_new_version_keeps_the_rows_of_the_one_before(client, bob, project, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    before = [{"role": "user", "content": "Hi", "tool_calls": None}]
    before.append({"role": "assistant", "content": "Hello", "tool_calls": None})
    folder = tmp_path / "rows"
    folder.mkdir()
    table = pa.table({"messages": [before], "tools": pa.array([None], pa.string())})
    pq.write_table(table, folder / "train-0.parquet")
    dataset = Dataset.objects.create(
        project=project, name="Talks", kind="conversations"
    )
    DatasetVersion.objects.create(
        dataset=dataset,
        number=1,
        rows=1,
        path=storage.publish(folder, "datasets/talks"),
        card=card_of("train-0.parquet"),
    )
    client.force_login(bob)
    collect(client, *brought(project, bob))
    first, second = uploaded()
    assert [one["content"] for one in first["messages"]] == ["Hi", "Hello"]
    assert second == {"messages": TALK}
    assert dataset.versions.latest("number").number == 2


def card_of(shard: str) -> dict:
    split = {"rows": 1, "bytes": 7, "characters": 7, "shards": [shard]}
    return DatasetCard(
        kind="conversations",
        columns=["messages", "tools"],
        rows=1,
        bytes=7,
        characters=7,
        distinct_rows=1,
        duplicate_rows=0,
        length_histogram=[],
        splits={"train": split},
        content_sha256="0",
        source_name="x",
        source_sha256="0",
    ).model_dump(mode="json")


def test_what_cannot_become_a_dataset_says_why(client, bob, project):
    [unanswered] = brought(project, bob, TALK[:2])
    [good] = brought(project, bob)
    Dataset.objects.create(project=project, name="Book", kind="text")
    client.force_login(bob)
    for answer, reason in (
        (collect(client, unanswered), "nobody answers"),
        (collect(client), "at least one conversation"),
        (collect(client, good, name="Book"), "holds text"),
        (collect(client, good, name=" "), "required"),
        (collect(client, Conversation(pk=999)), "not there any more"),
    ):
        assert answer.status_code == 422
        assert reason in answer.text.lower()
    assert not Run.objects.exists()
    assert not Upload.objects.exists()


def test_making_a_dataset_takes_an_engineer(client, lara, project):
    client.force_login(lara)
    talks = brought(project, lara)
    assert collect(client, *talks).status_code == 403
    assert "Make a dataset" not in client.get(url("exchange")).text


def test_anothers_conversation_cannot_be_collected(client, bob, vera, project):
    [private] = brought(project, vera)
    client.force_login(bob)
    assert collect(client, private).status_code == 422
    assert not Run.objects.exists()


def test_strangers_see_nothing(client, mallory, vera, project):
    [talk] = brought(project, vera)
    client.force_login(mallory)
    assert [client.get(url(name)).status_code for name in PAGES] == [404] * 3
    assert client.get(url("export", talk.pk)).status_code == 404
    assert send(client, json.dumps({"messages": TALK}).encode()).status_code == 404
    assert collect(client, talk).status_code == 404


def test_whoever_is_not_signed_in_is_asked_to(client, project):
    for name in PAGES:
        assert "login" in client.get(url(name)).headers["Location"]
    assert "login" in send(client, b"{}").headers["Location"]


def test_votes_of_campaigns_are_not_among_the_playgrounds(client, bob, project):
    made = compared(project, bob, "One.", "Two.", source="campaign")
    record_vote(
        comparison=made, labeler=bob, choice="a", shown_left="a", ms_active=1, key="c"
    )
    client.force_login(bob)
    assert lines(client.get(url("export-preferences"))) == []
