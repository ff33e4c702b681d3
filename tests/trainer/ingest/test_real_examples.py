"""Every real file of examples comes in, with the rows it has."""

import gzip
import json
from typing import Any, NamedTuple

import pytest


class Examples(NamedTuple):
    """A file, and what it must become."""

    file: str
    kind: str
    rows: int
    layout: str
    first: str
    """How a text of the first row begins."""
    settings: dict[str, Any] = {}


TABLE = "a table"
PAIR = {"columns": {"prompt": "column 1", "completion": "column 2"}}
FILES = [
    Examples("floresv1_dev.jsonl.gz", "text-to-text", 10_997, TABLE, "Putin has"),
    Examples("gpteacher_codegen.jsonl.gz", "instructions", 3_595, "Alpaca", "Write a"),
    Examples("gpteacher_roleplay.jsonl.gz", "instructions", 1_548, "Alpaca", "Imagine"),
    Examples("gpteacher_toolformer.jsonl.gz", "instructions", 1_918, "Alpaca", "toolf"),
    Examples("gsm8k_train.jsonl.gz", "instructions", 7_473, TABLE, "Natalia sold"),
    Examples(
        "oasst_en_100_tree.jsonl.gz", "conversations", 72, "OpenAssistant", "How to"
    ),
    Examples("oasst_threads.parquet", "conversations", 448, "OpenAI", "How to protect"),
    Examples("rasbt_instructions.jsonl.gz", "instructions", 890, "Alpaca", "Evaluate"),
    Examples(
        "self_instruct_seed_tasks.jsonl.gz", "instructions", 175, "Self-", "Is there"
    ),
    Examples("wikisplit_tune.tsv.gz", "text-to-text", 5_000, TABLE, "' ( 1990", PAIR),
]


def texts_of(row: dict[str, Any]) -> list[str]:
    """Return all texts of a canonical row."""
    turns = row.get("messages") or []
    flat = [value for value in row.values() if isinstance(value, str)]
    return flat + [turn["content"] for turn in turns]


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.file)
def test_a_file_of_examples_comes_in_whole(case, ingest, real_files):
    made = ingest(
        real_files / "sft" / case.file,
        dataset_kind=case.kind,
        validation_fraction=0,
        **case.settings,
    )
    assert made.card is not None, made.error
    assert made.card.rows == case.rows
    assert made.card.layout.startswith(case.layout)
    rows = made.rows()
    assert any(text.startswith(case.first) for text in texts_of(rows[0]))
    assert sum(len(text) for row in rows for text in texts_of(row)) == (
        made.card.characters
    )


def test_no_file_of_examples_is_left_out(real_files):
    found = {path.name for path in (real_files / "sft").iterdir()}
    assert found == {case.file for case in FILES}


def test_every_sentence_has_its_polarity(ingest, real_files):
    path = real_files / "evals" / "sentence_polarity.jsonl.gz"
    made = ingest(path, dataset_kind="labelled", validation_fraction=0)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    expected = [json.loads(line) for line in lines]
    assert [(row["text"], row["label"]) for row in made.rows()] == [
        (row["text"], str(row["label"])) for row in expected
    ]
    assert made.card.labels == [("1", 4_313), ("0", 4_231)]


def test_a_tree_keeps_the_assistants_first_choice(ingest, real_files):
    path = real_files / "sft" / "oasst_en_100_tree.jsonl.gz"
    made = ingest(path, dataset_kind="conversations", validation_fraction=0)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    for line, row in zip(lines, made.rows(), strict=True):
        best = min(
            json.loads(line)["prompt"]["replies"],
            key=lambda reply: 99 if reply.get("rank") is None else reply["rank"],
        )
        assert row["messages"][1]["content"] == best["text"]
        assert row["messages"][-1]["role"] == "assistant"
