"""What the page of a dataset shows of rows of each kind."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.urls import reverse
from runspec.layout import DatasetCard, Split
from trivium import storage
from trivium.datasets import histogram
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.projects.models import Project

HOSTILE = "<i>\u202egnp"
LIST = "/p/grammar/data/"


@pytest.fixture
def stored(project: Project, tmp_path: Path):
    """Store rows as a finished ingest run would; return the address of their page."""

    def store(kind: str, rows: list[dict[str, Any]], **facts: Any) -> str:
        folder = tmp_path / kind
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000.parquet")
        train = Split(rows=1, bytes=9, characters=9, shards=["train-00000.parquet"])
        card = DatasetCard(
            kind=kind,
            columns=list(rows[0]),
            rows=len(rows),
            bytes=9,
            characters=9,
            distinct_rows=len(rows),
            duplicate_rows=0,
            length_histogram=[(8, 1)],
            splits={"train": train},
            content_sha256="ab" * 32,
            source_name="rows.jsonl",
            source_sha256="cd" * 32,
            **facts,
        )
        dataset = Dataset.objects.create(project=project, name=kind, kind=kind)
        DatasetVersion.objects.create(
            dataset=dataset,
            number=1,
            path=storage.publish(folder, f"datasets/{kind}"),
            card=card.model_dump(mode="json"),
            rows=len(rows),
        )
        return reverse("datasets:detail", args=["grammar", dataset.pk])

    return store


def test_turns_calls_and_tools_are_shown(stored, bobs: Client):
    calls = json.dumps([{"name": "add"}])
    turns = [
        {"role": "user", "content": HOSTILE, "tool_calls": None},
        {"role": "assistant", "content": "", "tool_calls": calls},
    ]
    page = bobs.get(
        stored(
            "conversations",
            [{"messages": turns, "tools": '[{"name": "add"}]'}],
            turns=[(2, 1)],
            roles={"user": 1, "assistant": 1},
            column_lengths={"user": [(8, 1)], "assistant": [(1, 1)]},
            layout="OpenAI messages with tools",
        )
    ).text
    assert 'class="turn turn--user"' in page
    assert "&lt;i&gt;" in page
    assert "\u202e" not in page
    assert "[{&quot;name&quot;: &quot;add&quot;}]" in page
    assert "Turns in a conversation" in page
    assert "1 by the user, 1 by the assistant" in page
    assert "OpenAI messages with tools" in page
    assert "Train a tokenizer" not in page


def test_labels_are_counted_as_bars(stored, bobs: Client):
    page = bobs.get(
        stored(
            "labelled",
            [{"text": "fine", "label": HOSTILE}],
            labels=[(HOSTILE, 3), ("dull", 1)],
            num_labels=70,
        )
    ).text
    assert "75.0 %" in page
    assert "And 20 rarer labels." in page
    assert HOSTILE not in page
    assert '<span class="tag" dir="auto">&lt;i&gt;' in page


@pytest.mark.parametrize("kind", ["instructions", "text-to-text"])
def test_pairs_show_where_their_parts_came_from(kind, stored, bobs: Client):
    page = bobs.get(
        stored(
            kind,
            [{"prompt": "Frage", "completion": "Antwort"}],
            mapping={"prompt": "q", "completion": "a"},
            shared_prompts=5,
            column_lengths={"prompt": [(8, 1)], "completion": [(8, 1)]},
        )
    ).text
    assert "Prompt from" in page
    assert "Antwort" in page
    assert "Shared prompts" in page
    assert "How long the parts are" in page


def test_the_list_is_narrowed_by_kind(stored, bobs: Client, version: DatasetVersion):
    stored("labelled", [{"text": "a", "label": "b"}])
    page = bobs.get(LIST, {"kind": "labelled"})
    assert [item.name for item in page.context["paged"]] == ["labelled"]
    assert "selected" in page.text
    assert len(bobs.get(LIST, {"kind": "<x>"}).context["paged"]) == 2
    none = bobs.get(LIST, {"kind": "conversations"}).text
    assert "No dataset is of a kind like that." in none


def test_shares_are_of_all_rows_and_bars_of_the_longest():
    first, second = histogram.shares([("a", 6), ("none", 0), ("b", 2)])
    assert (first.share, first.length) == (75, 100)
    assert (second.share, second.length) == (25, 33.3)
    assert histogram.shares([]) == []
