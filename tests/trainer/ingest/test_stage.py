import json
import threading

import pytest
from runspec import IngestSpec
from trainer.errors import Stopped
from trainer.ingest import run_ingest

ROWS = [f"row {number}" for number in range(400)]


def jsonl(rows):
    return "".join(json.dumps({"text": row}) + "\n" for row in rows)


@pytest.mark.parametrize("split", ["hash", "tail"])
def test_equal_rows_stand_on_one_side(split, ingest):
    rows = ROWS[:50] * 3 + ROWS[:200] + ["only late"] * 2
    made = ingest(jsonl(rows), "r.jsonl", split=split, validation_fraction=0.2)
    train, validation = made.texts("train"), made.texts("validation")
    assert sorted(train + validation) == sorted(rows)
    assert validation
    assert not set(train) & set(validation)
    assert made.card.duplicate_rows == 151


def test_the_hash_split_takes_its_share_of_distinct_rows(ingest):
    made = ingest(jsonl(ROWS * 2), "r.jsonl", validation_fraction=0.1)
    assert len(set(made.texts("validation"))) == 40


def test_the_hash_split_follows_content_not_order(ingest):
    forward = ingest(jsonl(ROWS), "r.jsonl")
    backward = ingest(jsonl(ROWS[::-1]), "r.jsonl")
    assert forward.texts("validation") == backward.texts("validation")[::-1]


def test_the_tail_split_takes_the_last_rows(ingest):
    made = ingest(jsonl(ROWS), "r.jsonl", split="tail", validation_fraction=0.25)
    assert made.texts("validation") == ROWS[300:]
    assert made.texts("train") == ROWS[:300]


def test_no_share_makes_no_validation_split(ingest):
    made = ingest(jsonl(ROWS), "r.jsonl", validation_fraction=0)
    assert list(made.card.splits) == ["train"]
    assert made.texts() == ROWS


def test_rows_that_are_all_equal_cannot_be_split(ingest):
    made = ingest(jsonl(["same"] * 9), "r.jsonl")
    assert list(made.card.splits) == ["train"]
    assert "no validation split" in made.notes()


def test_the_same_file_gives_the_same_dataset(ingest):
    first, second = (ingest(jsonl(ROWS), "r.jsonl") for _ in range(2))
    assert first.card == second.card


def test_statistics_count_what_is_there(ingest):
    made = ingest(jsonl(["é", "abc", "abcd", "abcde"]), "r.jsonl")
    card = made.card
    assert (card.rows, card.characters, card.bytes) == (4, 13, 14)
    assert card.length_histogram == [(1, 1), (2, 0), (4, 2), (8, 1)]


def test_strict_counts_every_bad_row_and_lists_the_first(ingest):
    made = ingest('{"text": "a"}\n' + '{"text": 1}\n' * 250, "r.jsonl")
    assert "250 rows are bad" in made.error
    assert "and 240 more" in made.error
    listed = made.bad_rows()
    assert listed["count"] == 250
    assert len(listed["first"]) == 100
    assert listed["first"][0]["place"] == "line 2"


def test_bad_rows_are_skipped_and_counted_where_asked(ingest):
    made = ingest(jsonl(ROWS) + "{\n", "r.jsonl", bad_rows="skip")
    assert made.card.rows == 400
    assert made.card.skipped_rows == 1
    assert made.report.results[0]["bad_rows"][0]["place"] == "line 401"


def test_nothing_but_bad_rows_is_refused_even_then(ingest):
    assert "No row is left" in ingest('{"text": 1}', "r.jsonl", bad_rows="skip").error


def test_a_column_named_wrongly_is_answered_with_the_columns(ingest):
    made = ingest(jsonl(ROWS), "r.jsonl", text_column="content")
    assert 'no column "content"' in made.error
    assert '"text"' in made.error


def test_the_only_column_of_text_is_taken(ingest):
    made = ingest('{"id": 1, "body": "hello"}\n', "r.jsonl", validation_fraction=0)
    assert made.texts() == ["hello"]


def test_paragraphs_are_divided_by_blank_lines(ingest):
    made = ingest("a\nb\n\n\n c\r\n\r\nd\n \t\ne", "t.txt", validation_fraction=0)
    assert made.texts() == ["a\nb", " c", "d", "e"]


def test_lines_end_at_line_feeds_only(ingest):
    text = "a\u2028b\nc\x85d\r\ne\x0bf\n"
    made = ingest(text, "t.txt", text_rows="line", validation_fraction=0)
    assert made.texts() == ["a\u2028b", "c\x85d", "e\x0bf"]


@pytest.mark.parametrize("rows", ["line", "paragraph", "file"])
def test_long_rows_of_text_are_cut_without_loss(rows, ingest):
    text = "äb" * 40_000
    made = ingest(
        text, "t.txt", text_rows=rows, max_row_characters=1_000, validation_fraction=0
    )
    assert max(map(len, made.texts())) == 1_000
    assert "".join(made.texts()) == text


def test_progress_ends_where_the_file_ends(ingest):
    made = ingest(jsonl(ROWS), "r.jsonl")
    last = made.report.progresses[-1]
    assert last.step == last.total == 400
    assert {progress.unit for progress in made.report.progresses} >= {"bytes"}


def test_a_stop_leaves_nothing(tmp_path, ingest):
    source = tmp_path / "s.jsonl"
    source.write_text(jsonl(ROWS))
    made = ingest(source, "s.jsonl")
    stop = threading.Event()
    stop.set()
    folder = tmp_path / "stopped"
    folder.mkdir()
    context = type(
        "Context", (), {"folder": folder, "report": made.report, "stop": stop}
    )
    with pytest.raises(Stopped):
        run_ingest(IngestSpec(source=str(source), file_name="s.jsonl"), context=context)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_url_is_read_through_fsspec(tmp_path, ingest):
    import fsspec

    with fsspec.open("memory://bucket/rows.jsonl", "wb") as file:
        file.write(jsonl(ROWS).encode())
    folder = tmp_path / "run"
    folder.mkdir()
    report = ingest(jsonl(ROWS), "r.jsonl").report
    context = type(
        "Context", (), {"folder": folder, "report": report, "stop": threading.Event()}
    )
    spec = IngestSpec(source="memory://bucket/rows.jsonl", file_name="rows.jsonl")
    run_ingest(spec, context=context)
    assert report.results[-1]["rows"] == 400
