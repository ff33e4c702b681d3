"""Real texts come in whole."""

import gzip
import json

import pytest

FACTOR = 0.1


def read(path):
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def test_the_tail_of_tiny_shakespeare_validates(ingest, real_files):
    path = real_files / "pretrain" / "tinyshakespeare.txt"
    made = ingest(path, text_rows="file", split="tail", validation_fraction=FACTOR)
    text = read(path)
    assert "".join(made.texts("train")) == text[:1_003_854]
    assert "".join(made.texts("validation")) == text[-111_540:]


@pytest.mark.parametrize(
    "name",
    [
        "pretrain/ja_wagahai.txt.gz",
        "pretrain/gutenberg/moby_dick.txt.gz",
        "pretrain/gutenberg/war_and_peace.txt.gz",
    ],
)
def test_a_file_taken_whole_keeps_every_character(name, ingest, real_files):
    path = real_files / name
    made = ingest(path, text_rows="file", split="tail", max_row_characters=100_000)
    assert "".join(made.all_texts()) == read(path)


def test_paragraphs_of_a_novel_keep_every_word(ingest, real_files):
    path = real_files / "pretrain" / "gutenberg" / "emma.txt.gz"
    made = ingest(path, validation_fraction=0)
    assert " ".join(made.texts()).split() == read(path).split()
    assert made.card.rows > 1_000


def test_names_are_one_a_line(ingest, real_files):
    made = ingest(real_files / "pretrain" / "names.txt.gz", text_rows="line")
    assert made.card.rows == 32_033
    assert made.card.duplicate_rows == 32_033 - made.card.distinct_rows


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("pretrain/bible_multilingual.jsonl.gz", 46_048),
        ("pretrain/udhr2.jsonl.gz", 297),
        ("pretrain/inaugural.jsonl.gz", 59),
    ],
)
def test_the_text_column_is_found_or_chosen(name, rows, ingest, real_files):
    path = real_files / name
    made = ingest(path, text_column="text", validation_fraction=0)
    assert made.card is not None, made.error
    assert made.card.rows == rows
    lines = read(path).split("\n")[:5]
    assert made.texts()[:5] == [json.loads(line)["text"] for line in lines]


def test_threads_are_not_text(ingest, real_files):
    made = ingest(real_files / "sft" / "oasst_threads.parquet")
    assert '"messages" (a list)' in made.error
    assert (
        "no clear column of text" in made.error or "which one is the text" in made.error
    )


def test_a_table_without_a_header_asks_for_the_column(ingest, real_files):
    made = ingest(real_files / "sft" / "wikisplit_tune.tsv.gz")
    assert "which one is the text" in made.error
