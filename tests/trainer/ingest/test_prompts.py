"""Prompts, as the world writes them, become turns with what is known of the answer."""

import json

import pytest
from trainer.ingest.look import look

PROMPTS = {"dataset_kind": "prompts", "validation_fraction": 0}
ASK = {"role": "user", "content": "Who?"}
TURN = {**ASK, "tool_calls": None}


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def stored(is_chat, *, answer=None, category=None):
    return {
        "prompt": [TURN],
        "is_chat": is_chat,
        "answer": answer,
        "category": category,
    }


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Who?"}, stored(False)),
        ({"question": "Who?"}, stored(True)),
        ({"instruction": "Who?", "category": "harm"}, stored(True, category="harm")),
        ({"prompt": [ASK], "answer": None}, stored(True)),
        ({"prompt": json.dumps([ASK])}, stored(True)),
        ({"text": "Who?"}, stored(False)),
        ({"question": "Who?", "answer": 4}, stored(True, answer="4")),
        ({"messages": [ASK], "answer": 2.5}, stored(True, answer="2.5")),
    ],
)
def test_a_prompt_is_read(row, expected, ingest):
    made = ingest(jsonl(row), "rows.jsonl", **PROMPTS)
    assert made.card is not None, made.error
    assert made.rows() == [expected]
    assert made.card.chat_rows == expected["is_chat"]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"prompt": "Who?"}, "prompts"),
        ({"question": "Who?", "category": "harm"}, "prompts"),
        ({"prompt": [ASK]}, "prompts"),
        ({"text": "Who?"}, "text"),
        ({"question": "Who?", "answer": "Ada."}, "instructions"),
        ({"messages": [ASK]}, "conversations"),
        ({"text": "Who?", "category": "harm"}, "labelled"),
    ],
)
def test_prompts_are_recognised_where_nothing_else_fits(row, kind, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(jsonl(row))
    assert look(str(path), path.name, {}, tmp_path).kind == kind


@pytest.mark.parametrize(
    ("text_rows", "prompts"),
    [("line", ["One", "two", "Three"]), ("paragraph", ["One\ntwo", "Three"])],
)
def test_a_text_file_holds_a_prompt_a_row(text_rows, prompts, ingest, tmp_path):
    source = tmp_path / "prompts.txt"
    source.write_text("One\ntwo\n\nThree\n")
    made = ingest(source, **PROMPTS, text_rows=text_rows)
    assert [row["prompt"][0]["content"] for row in made.rows()] == prompts
    chosen = {"dataset_kind": "prompts", "text_rows": text_rows}
    seen = look(str(source), source.name, chosen, tmp_path)
    assert [row.values for row in seen.rows] == made.rows()


def test_one_prompt_alone_is_not_cut_in_two(ingest):
    chosen = {"dataset_kind": "prompts", "validation_fraction": 0.5}
    made = ingest("Just one.", "one.txt", **chosen)
    assert (made.card.rows, list(made.card.splits)) == (1, ["train"])


def test_an_answered_prompt_is_named(ingest):
    say = {"role": "assistant", "content": "Ada."}
    made = ingest(jsonl({"prompt": [ASK, say]}), "rows.jsonl", **PROMPTS)
    assert "line 1: the last turn is the assistant's" in made.error


def test_categories_are_counted(ingest):
    rows = [{"prompt": f"{at}", "category": "ab"[at % 3 == 0]} for at in range(6)]
    made = ingest(jsonl(*rows), "rows.jsonl", **PROMPTS)
    assert made.card.labels == [("a", 4), ("b", 2)]
    assert made.card.turns == [(1, 6)]
    assert made.card.pairs is None


def test_extreme_prompts_are_taken_or_named(ingest, bad_files):
    path = bad_files / "prompts_extreme.jsonl"
    made = ingest(path, **PROMPTS, bad_rows="skip")
    assert (made.card.rows, made.card.skipped_rows) == (3, 4)
    assert [row["place"] for row in made.bad_rows()["first"]] == [
        "line 1", "line 2", "line 4", "line 7",
    ]  # fmt: skip
    limited = ingest(path, **PROMPTS, max_row_characters=100_000)
    assert '"prompt" has 200,000 characters; the limit is 100,000' in limited.error


def test_real_questions_keep_their_answers(ingest, real_files):
    made = ingest(real_files / "evals" / "gsm8k_test.jsonl.gz", **PROMPTS)
    assert (made.card.rows, made.card.chat_rows) == (661, 661)
    assert all("####" in row["answer"] for row in made.rows())
