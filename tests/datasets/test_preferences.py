"""The page of a dataset of preferences or prompts, and its rows as files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import reverse
from runspec import SftSpec
from runspec.layout import DatasetCard, PairFacts, Split
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets import pairs, preview
from trivium.datasets.models import Dataset, DatasetVersion, Upload
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.errors import SubmitError

HOSTILE = "<i>\u202egnp"
FACTS = PairFacts(
    num_pairs=4,
    num_prompts=3,
    chosen_longer=1,
    rejected_longer=2,
    chosen_characters=40,
    rejected_characters=60,
    ties=7,
    num_voted=2,
)


def turn(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content, "tool_calls": None}


def pair(number: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt": [turn("user", f"Question {number}?")],
        "chosen": [turn("assistant", f"good {number} {HOSTILE}")],
        "rejected": [turn("assistant", f"bad {number}")],
        "is_chat": True,
        "chosen_share": None,
        "num_votes": None,
        "strength": None,
        "pair_id": None,
        **more,
    }


PLAIN = pair(
    3,
    prompt=[],
    chosen=[turn("assistant", " blue.")],
    rejected=[turn("assistant", " green.")],
    is_chat=False,
)
ROWS = [
    pair(1, chosen_share=0.8, num_votes=5, strength=1.5, pair_id="p-1"),
    pair(2),
    PLAIN,
    pair(4),
]
PROMPT = {
    "prompt": [turn("user", HOSTILE)],
    "is_chat": True,
    "answer": "42",
    "category": "harm",
}


@pytest.fixture
def stored(project: Project, tmp_path: Path):
    """Store rows, the last of them for validation, as a finished ingest would."""

    def store(kind: str, rows: list[dict[str, Any]], **facts: Any) -> DatasetVersion:
        folder = tmp_path / kind
        folder.mkdir()
        splits = {}
        for name, part in {"train": rows[:-1], "validation": rows[-1:]}.items():
            file = f"{name}-00000.parquet"
            pq.write_table(pa.Table.from_pylist(part), folder / file)
            splits[name] = Split(rows=len(part), bytes=9, characters=9, shards=[file])
        card = DatasetCard(
            kind=kind,
            columns=list(rows[0]),
            rows=len(rows),
            bytes=9,
            characters=9,
            distinct_rows=len(rows),
            duplicate_rows=0,
            length_histogram=[(8, 1)],
            splits=splits,
            content_sha256="ab" * 32,
            source_name="rows.jsonl",
            source_sha256="cd" * 32,
            **facts,
        )
        dataset = Dataset.objects.create(project=project, name=kind, kind=kind)
        return DatasetVersion.objects.create(
            dataset=dataset,
            number=1,
            path=storage.publish(folder, f"datasets/{kind}"),
            card=card.model_dump(mode="json"),
            rows=len(rows),
        )

    return store


@pytest.fixture
def preferences(stored) -> DatasetVersion:
    return stored("preferences", ROWS, pairs=FACTS, turns=[(0, 1), (1, 3)], chat_rows=3)


def page_of(client: Client, version: DatasetVersion) -> str:
    address = reverse("datasets:detail", args=["grammar", version.dataset_id])
    return client.get(address).text


def test_both_answers_stand_side_by_side_with_their_names(preferences, bobs: Client):
    page = page_of(bobs, preferences)
    assert page.count('class="pair__side pair__side--chosen"') == 3
    assert page.count("</span> Chosen") == page.count("</span> Rejected") == 3
    assert "good 1 &lt;i&gt;" in page
    assert "\u202e" not in page
    assert "80\u00a0% of 5 votes" in page
    assert "strength 1.5" in page
    assert "None: each answer stands for itself." in page
    assert '<div class="rows__text" dir="auto"> blue.</div>' in page


def test_a_page_says_what_matters_of_pairs(preferences, bobs: Client):
    page = page_of(bobs, preferences)
    for sentence in pairs.sentences(FACTS):
        assert sentence in page
    assert "Distinct prompts" in page
    assert "Ties" in page
    assert "3 rows are conversations" in page
    assert "Turns in a prompt" in page
    assert "Fine-tune a model on it" not in page
    assert "Train a tokenizer" not in page


def test_the_length_baseline_is_told_in_words():
    told = " ".join(pairs.sentences(FACTS))
    assert "4 pairs on 3 distinct prompts." in told
    assert "10 characters on average, a rejected one 15." in told
    assert "preferred one in 37.5 % of pairs" in told
    assert "prefers the shorter one is right in 62.5 %" in told
    assert "Of 2 pairs the share of votes is known." in told
    assert [rows for _, rows in pairs.longer(FACTS)] == [1, 2, 1]


def test_prompts_show_their_answer_and_category(stored, bobs: Client):
    version = stored("prompts", [PROMPT, PROMPT], labels=[("harm", 2)], num_labels=1)
    page = page_of(bobs, version)
    assert '<span class="tag" dir="auto">harm</span>' in page
    assert "A right answer" in page
    assert "How often each category is there" in page
    assert "TRL, kto" not in page
    assert "Fine-tune a model on it" not in page


async def whole(response: Any) -> bytes:
    return b"".join([part async for part in response.streaming_content])


def read(client: Client, version: DatasetVersion, **query: str) -> list[Any]:
    address = reverse("datasets:version-rows", args=["grammar", version.pk])
    found = client.get(address, query)
    assert found.status_code == 200
    content = async_to_sync(whole)(found).decode()
    return [json.loads(line) for line in content.splitlines()]


def test_rows_are_sent_as_stored_or_as_trl_reads_them(preferences, bobs: Client):
    assert read(bobs, preferences) == ROWS
    assert read(bobs, preferences, split="validation") == ROWS[3:]
    explicit = read(bobs, preferences, form="explicit", split="train")
    assert explicit[0]["prompt"] == [{"role": "user", "content": "Question 1?"}]
    assert explicit[2] == {"prompt": "", "chosen": " blue.", "rejected": " green."}
    implicit = read(bobs, preferences, form="implicit")
    assert [len(row["chosen"]) for row in (implicit[0], implicit[3])] == [2, 2]
    kto = read(bobs, preferences, form="kto")
    assert [row["label"] for row in kto] == [True, False] * 4


@pytest.mark.parametrize("query", [{"form": "x"}, {"split": "test"}, {"form": "\0"}])
def test_what_is_not_there_is_not_found(query, preferences, bobs: Client):
    address = reverse("datasets:version-rows", args=["grammar", preferences.pk])
    assert bobs.get(address, query).status_code == 404


def test_other_kinds_have_no_form(stored, bobs: Client):
    version = stored("prompts", [PROMPT, PROMPT])
    address = reverse("datasets:version-rows", args=["grammar", version.pk])
    assert bobs.get(address, {"form": "kto"}).status_code == 404


def test_a_file_is_named_after_what_is_in_it(preferences, bobs: Client):
    address = reverse("datasets:version-rows", args=["grammar", preferences.pk])
    sent = bobs.get(address, {"form": "kto", "split": "train"})
    assert 'filename="preferences-v1-train-kto.jsonl"' in sent["Content-Disposition"]


def test_reading_all_rows_opens_one_group_at_a_time(preferences, monkeypatch):
    asked: list[int] = []
    batches = pq.ParquetFile.iter_batches

    def iter_batches(self, batch_size, **options):
        asked.append(batch_size)
        return batches(self, batch_size, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    assert list(preview.iterate_rows(preferences, "train")) == ROWS[:3]
    assert asked == [preview.READ_AT_ONCE]


def test_fine_tuning_refuses_preferences_and_says_why(
    preferences, project: Project, bob: User
):
    model = LanguageModel.objects.create(
        project=project, name="Base", path="models/x", architecture="decoder"
    )
    spec = SftSpec(model=str(model.pk), datasets=(str(preferences.pk),))
    with pytest.raises(SubmitError) as refused:
        kinds.start_run(project=project, created_by=bob, spec=spec, name="x")
    assert "preferences v1 holds preferences; this run reads" in str(refused.value)


def test_a_pair_is_read_on_the_page_with_rarer_columns_folded(
    project: Project, bob: User, bobs: Client
):
    key, path = storage.new_upload()
    path.write_bytes(
        b'{"prompt": "p", "chosen": "a", "rejected": "b", "margin": 2}\n'
        b'{"prompt": "p", "chosen": "a", "rejected": "a"}\n'
    )
    storage.publish(path, key)
    upload = Upload.objects.create(
        project=project, created_by=bob, file_name="pairs.jsonl", path=key
    )
    address = reverse("datasets:upload", args=["grammar", upload.pk])
    page = bobs.get(address).text
    assert "Recognised: TRL preferences, explicit prompt, plain text" in page
    shown, folded = page.split("More columns")
    for part in ("prompt", "chosen", "rejected", "strength"):
        assert f'name="part_{part}"' in shown
    for part in ("chosen_transcript", "winner", "pair_id"):
        assert f'name="part_{part}"' in folded
    assert "no usable pair" in page
    chosen = {
        "dataset_kind": "preferences",
        "is_table": "1",
        "part_prompt": "prompt",
        "bad_rows": "skip",
        "validation_fraction": "0",
    }
    missing = bobs.post(address, chosen)
    assert missing.status_code == 422
    assert "Choose the column that holds it." in missing.text
    sent = {**chosen, "part_chosen": "chosen", "part_rejected": "rejected"}
    assert bobs.post(address, sent).status_code == 302
    version = DatasetVersion.objects.get()
    assert version.dataset.kind == "preferences"
    assert version.run.spec["columns"]["rejected"] == "rejected"
