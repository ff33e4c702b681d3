"""Pairs of answers, as the world writes them, become prompt, chosen and rejected."""

import gzip
import json
from typing import Any, NamedTuple

import pytest
from runspec import IngestSpec
from trainer.ingest.kinds.pairs import shared_beginning

ASK = {"role": "user", "content": "Who?"}
GOOD = {"role": "assistant", "content": "Ada."}
BAD = {"role": "assistant", "content": "No idea."}
PREFERENCES = {"dataset_kind": "preferences", "validation_fraction": 0}
SKIP = {"bad_rows": "skip"}
PLAIN = {"chosen_share": None, "num_votes": None, "strength": None, "pair_id": None}


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def said(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return (prompt, chosen, rejected) as (role, text) each, and whether it chats."""
    sides = (row["prompt"], row["chosen"], row["rejected"])
    return (
        *([(turn["role"], turn["content"]) for turn in side] for side in sides),
        row["is_chat"],
    )


USER, A, B = ("user", "Who?"), ("assistant", "Ada."), ("assistant", "No idea.")
CHAT = ([USER], [A], [B], True)


@pytest.fixture
def take(ingest):
    """Ingest rows of preferences; they must be taken."""

    def run(*rows, name="rows.jsonl", **settings):
        source = rows[0] if isinstance(rows[0], str) else jsonl(*rows)
        made = ingest(source, name, **PREFERENCES | settings)
        assert made.card is not None, made.error
        return made

    return run


@pytest.fixture
def refuse(ingest):
    """Ingest rows of preferences; return why they are refused."""

    def run(*rows, **settings):
        made = ingest(jsonl(*rows), "rows.jsonl", **PREFERENCES | settings)
        assert made.card is None
        return made.error

    return run


class Shape(NamedTuple):
    """A way to write pairs, and what becomes of one."""

    row: dict[str, Any]
    expected: tuple[Any, ...]
    layout: str
    more: dict[str, Any] = {}


BATTLE = {
    "question_id": "q7",
    "conversation_a": [ASK, BAD],
    "conversation_b": [ASK, GOOD],
    "winner": "model_b",
}
ARENA = {
    "id": 7,
    "prompt": json.dumps(["Who?", "And?"]),
    "response_a": json.dumps(["Ada.", "Eve."]),
    "response_b": json.dumps(["No idea.", "None."]),
    "winner_model_a": 1,
    "winner_model_b": 0,
    "winner_tie": 0,
}
AGAIN = ("user", "And?")
SCORED = [
    {"response": "Meh.", "overall_score": 5.0},
    {"response": "Ada.", "overall_score": 8.5},
    {"response": "No idea.", "overall_score": "2"},
    {"response": "broken", "overall_score": "N/A"},
]
PLAIN_PAIR = (
    [("user", "The sky is")],
    [("assistant", " blue.")],
    [("assistant", " green.")],
    False,
)
SHAPES = [
    Shape(
        {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
        PLAIN_PAIR,
        "TRL preferences, explicit prompt, plain text",
    ),
    Shape(
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        PLAIN_PAIR,
        "TRL preferences, implicit prompt, plain text",
    ),
    Shape(
        {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]},
        CHAT,
        "TRL preferences, explicit prompt, lists of turns",
    ),
    Shape(
        {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
        CHAT,
        "TRL preferences, implicit prompt, lists of turns",
    ),
    Shape(
        {"prompt": [ASK], "chosen": "Ada.", "rejected": "No idea."},
        CHAT,
        "TRL preferences, explicit prompt, plain text",
    ),
    Shape(
        {
            "chosen": "\n\nHuman: Who?\n\nAssistant: Ada.",
            "rejected": "\n\nHuman: Who?\n\nAssistant: No idea.",
        },
        CHAT,
        "transcripts of Human and Assistant",
    ),
    Shape(
        {
            "prompt": "\n\nHuman: Who?\n\nAssistant:",
            "chosen": " Ada.",
            "rejected": " No idea.",
        },
        CHAT,
        "TRL preferences, explicit",
    ),
    Shape(
        {
            "prompt": "Who?",
            "chosen": [ASK, GOOD],
            "rejected": [ASK, BAD],
            "messages": [ASK, GOOD],
            "score_chosen": 8.0,
            "score_rejected": 6.5,
        },
        CHAT,
        "TRL preferences, explicit prompt, lists of turns",
        {"strength": 1.5},
    ),
    Shape(
        {"instruction": "Who?", "completions": SCORED, "models": ["a", "b"]},
        CHAT,
        "answers with scores",
        {"strength": 6.5},
    ),
    Shape(BATTLE, CHAT, "battles", {"pair_id": "q7"}),
    Shape(
        ARENA,
        ([USER], [A, AGAIN, ("assistant", "Eve.")], [B, AGAIN, ("assistant", "None.")],
         True),
        "battles",
        {"pair_id": "7"},
    ),
    Shape(
        {"instruction": "Who?", "input": "", "output": "x", "chosen": "Ada.",
         "rejected": "No idea."},
        CHAT,
        "Alpaca with chosen and rejected",
    ),
    Shape(
        {"prompt": "The sky is", "chosen": " blue.", "rejected": " green.",
         "chosen_share": 0.75, "num_votes": 4, "strength": -1, "pair_id": "x"},
        PLAIN_PAIR,
        "TRL preferences",
        {"chosen_share": 0.75, "num_votes": 4, "strength": -1.0, "pair_id": "x"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(shape.row)[:40])
def test_a_shape_is_recognised_and_read(shape, take, tmp_path):
    from trainer.ingest.look import look

    path = tmp_path / "rows.jsonl"
    path.write_text(jsonl(shape.row))
    seen = look(str(path), "rows.jsonl", {}, tmp_path)
    assert (seen.kind, seen.error, seen.question) == ("preferences", "", "")
    made = take(shape.row)
    again = take(shape.row, columns=seen.mapping)
    assert made.rows() == again.rows()
    [row] = made.rows()
    assert said(row) == shape.expected
    assert {name: row[name] for name in PLAIN} == PLAIN | shape.more
    assert made.card.layout.startswith(shape.layout)
    assert made.card.layout == seen.layout


def test_lists_in_a_csv_are_read_as_lists(take):
    cells = [str(value).replace('"', '""') for value in ARENA.values()]
    row = ",".join(f'"{cell}"' for cell in cells)
    made = take(",".join(ARENA) + "\n" + row + "\n", name="arena.csv")
    assert said(made.rows()[0])[1][0] == A


def test_a_person_may_say_that_transcripts_are_plain_text(take):
    row = {"chosen": "Human: a\n\nAssistant: b", "rejected": "Human: a\n\nAssistant: c"}
    chosen = {"chosen": "chosen", "rejected": "rejected"}
    [stored] = take(row, columns=chosen).rows()
    assert stored["is_chat"] is False
    assert stored["prompt"][0]["content"] == "Human: a\n\nAssistant:"
    assert stored["chosen"][0]["content"] == " b"


@pytest.mark.parametrize(
    ("one", "other", "prompt"),
    [
        ("The sky is blue.", "The sky is green.", "The sky is"),
        ("unbelievable", "unbelieving", ""),
        ("a bcd", "a bce", "a"),
        ("Q?\nYes", "Q?\nNo", "Q?\n"),
        ("It is so.", "It is so. Really.", "It is"),
        ("It is  x", "It is  y", "It is"),
        ("same", "same ", ""),
        ("a same", "a same ", "a"),
        ("   a", "   b", ""),
        ("3.5", "3.7", ""),
        ("x 3.5", "x 3.7", "x"),
        ("空は青い。", "空は緑。", ""),
        ("", "", ""),
    ],
)
def test_texts_part_between_words(one, other, prompt):
    at = shared_beginning(one, other)
    assert one[:at] == other[:at] == prompt


def test_long_texts_without_a_border_part_at_once():
    one, other = "a" * 3_000_000 + "b", "a" * 3_000_000 + "c"
    assert shared_beginning(one, other) == 0
    blank = "a" + " " * 3_000_000
    assert shared_beginning(blank, blank + "  ") == 0


def test_a_prompt_said_again_is_cut_off(take):
    made = take(
        {"prompt": "The sky", "chosen": "The sky is", "rejected": "The sky was"}
    )
    prompt, chosen, rejected, _ = said(made.rows()[0])
    assert (prompt[0][1], chosen[0][1], rejected[0][1]) == ("The sky", " is", " was")
    assert "said the prompt again" in made.notes()
    kept = take({"prompt": "A", "chosen": "Apple", "rejected": "Ant"}).rows()[0]
    assert said(kept)[1] == [("assistant", "Apple")]


def test_a_pair_may_have_no_prompt(take):
    made = take({"chosen": "Fine film.", "rejected": "Dull film."})
    assert said(made.rows()[0])[0] == []
    again = take({"prompt": "", "chosen": "x", "rejected": "y"})
    assert said(again.rows()[0])[0] == []
    assert "empty prompt" in again.notes()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"chosen": [ASK, GOOD], "rejected": [ASK, GOOD]}, "are the same"),
        ({"chosen": [ASK, GOOD], "rejected": [ASK]}, "the beginning of the other"),
        (
            {"chosen": [ASK, GOOD], "rejected": [{**ASK, "content": "Why?"}, BAD]},
            "differ: they part at turn 1, which is the user's",
        ),
        ({"chosen": [ASK, GOOD], "rejected": [ASK, ASK, BAD]}, "part at turn 2"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "before any of the user"),
        ({"chosen": [ASK, GOOD], "rejected": 5}, '"rejected" is a number'),
        ({"chosen": [ASK, GOOD], "rejected": None}, '"rejected" is null'),
        ({"chosen": [ASK, GOOD], "rejected": [ASK, BAD, ASK]}, "does not end with"),
    ],
)
def test_a_pair_that_is_wrong_is_named(row, reason, refuse):
    told = refuse({"chosen": [ASK, GOOD], "rejected": [ASK, BAD]}, row)
    assert "1 row is bad. line 2: " in told
    assert reason in told


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"chosen_share": 1.5}, "a share of votes is from 0 to 1"),
        ({"num_votes": 2.5}, '"num_votes" is no count of votes'),
        ({"strength": "much"}, '"strength" is text, expected a number'),
        ({"strength": 1e300}, "expected a number"),
    ],
)
def test_numbers_that_are_none_are_named(more, reason, refuse):
    row = {"prompt": "p", "chosen": "a", "rejected": "b"}
    first = dict.fromkeys(more, 1)
    assert reason in refuse({**row, **first}, {**row, **more})


def test_a_prompt_that_nobody_answers_is_named(refuse):
    row = {"prompt": "Why?", "chosen": [ASK, GOOD], "rejected": [ASK, BAD]}
    assert '"prompt" is not what chosen and rejected answer' in refuse(row)


def test_ties_are_counted_and_named_but_refuse_nothing(take):
    made = take(
        {**BATTLE, "winner": "tie"}, BATTLE, {**BATTLE, "winner": "tie (bothbad)"}
    )
    assert (made.card.rows, made.card.skipped_rows, made.card.pairs.ties) == (1, 0, 2)
    assert (
        "2 rows prefer neither answer, and did not become a pair: line 1: a tie; "
        "line 3: a tie" in made.notes()
    )
    flags = {**ARENA, "winner_model_a": 0}
    assert take(flags, ARENA).card.pairs.ties == 1


def test_equal_scores_prefer_nothing(take, refuse):
    even = [{"response": text, "overall_score": 3} for text in "ab"]
    row = {"instruction": "Who?", "completions": even}
    made = take(row, {"instruction": "Who?", "completions": SCORED})
    assert (made.card.rows, made.card.pairs.ties) == (1, 1)
    assert "none of its 1 rows prefers one answer" in refuse(row)


def test_a_winner_nobody_knows_is_named(refuse):
    told = refuse({**BATTLE, "winner": "both"})
    assert '"winner" is "both"; known are model_a, model_b, tie' in told
    assert "both answers are said" in refuse({**ARENA, "winner_model_b": 1})


def test_single_answers_with_a_label_are_no_pairs(refuse, tmp_path):
    from trainer.ingest.look import look

    row = {"prompt": "p", "completion": "c", "label": True}
    assert "they are not pairs" in refuse(row)
    path = tmp_path / "kto.jsonl"
    path.write_text(jsonl(row))
    assert "they are not pairs" in look(str(path), path.name, {}, tmp_path).question
    path.write_text("prompt,completion,label\np,c,True\nq,d,False\n")
    assert "they are not pairs" in look(str(path), "kto.csv", {}, tmp_path).question
    path.write_text("prompt,completion,label\np,c,long\nq,d,short\n")
    assert look(str(path), "kto.csv", {}, tmp_path).kind == "instructions"


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"prompt": "p", "chosen": "a", "b": "y"}, "which one is the rejected"),
        ({"a": "x", "b": "y"}, "which one is the chosen"),
        ({**BATTLE, "winner": 5}, "which one is the winner"),
    ],
)
def test_columns_that_do_not_tell_are_asked_for(row, question, refuse):
    assert question in refuse(row)


def test_two_ways_of_writing_a_pair_are_not_mixed():
    with pytest.raises(ValueError, match="a pair is in chosen and rejected"):
        IngestSpec(
            source="x",
            file_name="x",
            dataset_kind="preferences",
            columns={"chosen": "a", "rejected": "b", "completions": "c"},
        )


def test_what_matters_of_pairs_is_counted(take):
    made = take(
        {"prompt": "p", "chosen": "longer", "rejected": "short"},
        {"prompt": "p", "chosen": "short", "rejected": "longer"},
        {"prompt": "p", "chosen": "longer", "rejected": "short", "pair_id": "2"},
        {"prompt": "q", "chosen": "abc", "rejected": "abc ", "chosen_share": 0.6},
        {"prompt": "r", "chosen": "abc", "rejected": "xyz"},
    )
    pairs = made.card.pairs
    assert (pairs.num_pairs, pairs.num_prompts) == (5, 3)
    assert (pairs.chosen_longer, pairs.rejected_longer, pairs.same_length) == (2, 2, 1)
    assert (pairs.chosen_characters, pairs.rejected_characters) == (23, 23)
    assert (pairs.contradictions, pairs.repeated, pairs.blank_differences) == (1, 1, 1)
    assert (pairs.num_voted, pairs.longer_share, pairs.length_baseline) == (1, 0.5, 0.5)
    assert "1 pair is contradicted by another" in made.notes()
    assert made.card.chat_rows == 0
    assert list(made.card.column_lengths) == ["prompt", "chosen", "rejected"]


def test_pairs_on_one_prompt_stand_on_one_side(take):
    rows = [
        {"prompt": f"p{at % 20}", "chosen": f"a{at}", "rejected": f"b{at}"}
        for at in range(100)
    ]
    made = take(*rows, validation_fraction=0.2)
    sides = [
        {row["prompt"][0]["content"] for row in made.rows(side)}
        for side in ("train", "validation")
    ]
    assert len(sides[1]) == 4
    assert not sides[0] & sides[1]


def test_pairs_that_differ_in_a_number_have_another_hash(take):
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "num_votes": 0}
    hashes = {
        take({**row, **more}).card.content_sha256
        for more in ({}, {"num_votes": None}, {"num_votes": 1}, {"strength": 1.0})
    }
    assert len(hashes) == 4


def lines_of(made) -> dict[int, str]:
    found = made.bad_rows()["first"]
    return {int(row["place"].split()[1]): row["reason"] for row in found}


def test_transcripts_of_hh_become_turns(ingest, real_files):
    path = real_files / "pref" / "hh_harmless_base_test.jsonl.gz"
    made = ingest(path, **PREFERENCES | SKIP)
    assert made.card is not None, made.error
    assert (made.card.rows, made.card.chat_rows) == (1_697, 1_697)
    bad = lines_of(made)
    assert set(bad) == {65, 809, 913, 1242, 1431, 1433, 1495}
    assert all("is empty" in bad[line] for line in (65, 809))
    assert all("prompts of chosen and rejected differ" in bad[line]
               for line in set(bad) - {65, 809})  # fmt: skip
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    first, row = json.loads(lines[0]), made.rows()[0]
    written = "".join(
        f"\n\n{ {'user': 'Human', 'assistant': 'Assistant'}[turn['role']] }: "
        + turn["content"]
        for turn in (*row["prompt"], *row["chosen"])
    )
    assert written == first["chosen"]
    pairs = made.card.pairs
    assert round(pairs.length_baseline, 3) == 0.555
    assert pairs.longer_share < 0.5
    assert (pairs.ties, pairs.repeated) == (0, 0)


def test_ranked_replies_of_oasst_are_taken_whole(ingest, real_files):
    made = ingest(real_files / "pref" / "oasst_ranked_pairs.jsonl.gz", **PREFERENCES)
    assert (made.card.rows, made.card.chat_rows) == (157, 157)
    assert round(made.card.pairs.longer_share, 2) == 0.76


def test_equal_answers_of_rasbt_are_named(ingest, real_files):
    path = real_files / "pref" / "rasbt_preference.jsonl.gz"
    refused = ingest(path, **PREFERENCES)
    assert "4 rows are bad. line 100: chosen and rejected are the same" in refused.error
    made = ingest(path, **PREFERENCES | SKIP)
    assert (made.card.rows, made.card.chat_rows) == (886, 886)
    assert set(lines_of(made)) == {100, 185, 457, 511}
    prompt = made.rows()[0]["prompt"][0]["content"]
    assert prompt.endswith("\n\nfreind --> friend")


def test_bad_pairs_are_named_and_odd_ones_told(ingest, bad_files):
    path = bad_files / "preference_bad_pairs.jsonl"
    made = ingest(path, **PREFERENCES | SKIP)
    assert lines_of(made) == {
        2: "chosen and rejected are the same: no usable pair",
        4: '"chosen" is empty',
        6: 'no column "rejected"; it has "prompt", "chosen"',
    }
    assert (made.card.rows, made.card.skipped_rows) == (3, 3)
    assert "1 pair differs in white space alone" in made.notes()
    assert "1 pair is contradicted by another" in made.notes()


def test_a_file_of_equal_answers_is_refused(ingest, bad_files):
    for choice in ("skip", "reject"):
        path = bad_files / "preference_all_identical.jsonl"
        made = ingest(path, **PREFERENCES, bad_rows=choice)
        assert "10 rows are bad" in made.error
        assert "no usable pair" in made.error


def test_transcripts_that_do_not_fit_are_named(ingest, bad_files):
    made = ingest(bad_files / "hh_mismatched_prompt.jsonl", **PREFERENCES)
    bad = lines_of(made)
    assert "they part at turn 1" in bad[1]
    assert "is no transcript" in bad[2]
    assert bad[3] == '"chosen": turn 2, the assistant\'s, is empty'


@pytest.mark.parametrize("name", ["oasst_ranked_pairs", "rasbt_preference"])
def test_what_is_written_for_trl_comes_back_as_it_was(name, ingest, real_files):
    from runspec.preferences import trl_lines

    made = ingest(real_files / "pref" / f"{name}.jsonl.gz", **PREFERENCES | SKIP)
    lines = "".join(trl_lines(made.rows(), "explicit"))
    again = ingest(lines, "again.jsonl", **PREFERENCES)
    assert again.card is not None, again.error
    assert again.rows() == made.rows()
    whole = "".join(trl_lines(made.rows(), "implicit"))
    assert ingest(whole, "whole.jsonl", **PREFERENCES).rows() == made.rows()
