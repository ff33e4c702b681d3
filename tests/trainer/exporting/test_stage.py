"""What votes decide, and what a dataset and the files beside it say of them.

Every number here was worked out by hand from the votes in `CAMPAIGN`.
"""

import json
from typing import Any

import pytest
from export_lab import chat, pair, vote
from runspec import ExportSpec
from runspec.labels import LabeledPair
from stage_lab import FakeContext
from trainer.errors import BadInputError, Stopped
from trainer.exporting import run_export
from trainer.exporting.deciding import REASONS, decide

HOSTILE = 'a "quote",\n\u2028<b>\u202e\0</b> \U0001f600 {"role": "system"}'
CAMPAIGN = [
    pair(
        1,
        chat("one"),
        ("yes", "no"),
        [
            vote(1, "a", strength=3),
            vote(2, "a", strength=1),
            vote(3, "b", strength=2, shown_left="b"),
            vote(4, "tie"),
            vote(5, "b", undone="2026-11-25T10:05:00Z"),
            vote(6, "b", annotator="l1", round=1, shown_left="b"),
            vote(7, "b", annotator="judge", is_ai=True, strength=3),
        ],
    ),
    pair(2, chat("two"), ("x", "y"), [vote(11, "a"), vote(12, "b")]),
    pair(
        3,
        chat("three"),
        ("bad", "worse"),
        [vote(21, "both_bad"), vote(22, "both_bad"), vote(23, "a")],
    ),
    pair(
        4,
        chat("four"),
        ("loud", "right"),
        [vote(31, "a"), vote(32, "a"), vote(33, "b")],
        adjudicated="b",
    ),
    pair(5, chat("five"), ("p", "q"), [vote(41, "a", is_ai=True)]),
    pair(6, chat("six"), ("same\n", "same"), [vote(51, "a")]),
    pair(7, chat("seven"), ("p", "q"), []),
    pair(8, chat(HOSTILE), (HOSTILE, "calm"), [vote(61, "b")], gold="a"),
    pair(9, chat("nine"), ("p", "q"), [vote(71, "a")], adjudicated="tie"),
    pair(
        10,
        chat("ten"),
        ("fine", "good"),
        [
            vote(81, "a", acceptable={"a": True, "b": True}),
            vote(82, "a", acceptable={"a": True, "b": False}),
            vote(83, "b", acceptable={"a": False, "b": True}),
        ],
    ),
    pair(
        11,
        chat("eleven"),
        ("so", "so so"),
        [vote(91, "a", acceptable={"a": True}), vote(92, "a", acceptable={"a": False})],
    ),
]
TAKEN = ["1", "3", "4", "8", "10", "11"]


@pytest.fixture
def exported(export):
    """The whole campaign, nothing kept for validation."""
    return export(CAMPAIGN, validation_fraction=0, source_name="Which is better?")


def test_rows_are_the_pairs_that_people_decided(exported):
    rows = exported.all_rows()
    assert [row["pair_id"] for row in rows] == TAKEN
    told = {
        row["pair_id"]: (
            row["chosen"][0]["content"],
            row["rejected"][0]["content"],
            row["chosen_share"],
            row["num_votes"],
            row["strength"],
        )
        for row in rows
    }
    third = pytest.approx(1 / 3)
    two_thirds = pytest.approx(2 / 3)
    assert told == {
        # (2 + ½) / 4; strength (3 + 1 - 2 + 0) / 4.
        "1": ("yes", "no", 0.625, 4, 0.5),
        "3": ("bad", "worse", two_thirds, 3, None),
        # A second look decided for what one of three people prefers.
        "4": ("right", "loud", third, 3, None),
        "8": ("calm", HOSTILE, 1.0, 1, None),
        "10": ("fine", "good", two_thirds, 3, None),
        "11": ("so", "so so", 1.0, 2, None),
    }
    assert rows[0]["prompt"] == [{"role": "user", "content": "one", "tool_calls": None}]
    assert all(row["is_chat"] for row in rows)


def test_every_comparison_left_out_is_counted_with_its_reason(exported):
    card = exported.card
    assert (card.kind, card.rows, card.skipped_rows) == ("preferences", 6, 5)
    assert card.source_name == "Which is better?"
    assert card.notes == [
        f"comparisons left out, 1: {REASONS['identical answers']}",
        "comparisons left out, 1: nobody voted",
        "comparisons left out, 1: only an AI voted",
        "comparisons left out, 2: as many votes are for one answer as for the other",
    ]
    assert exported.context.report.results[0]["votes"] == 24


def test_the_sidecar_holds_every_vote_and_what_became_of_it(exported):
    lines = {line["pair_id"]: line for line in exported.lines("votes")}
    assert {name: line["why_not"] for name, line in lines.items()} == {
        **dict.fromkeys(TAKEN),
        "2": "no preference",
        "5": "AI votes only",
        "6": "identical answers",
        "7": "no votes",
        "9": "no preference",
    }
    assert [lines[name]["row"] for name in ("1", "3", "4")] == [
        {"split": "train", "number": number} for number in range(3)
    ]
    first = lines["1"]
    assert [vote["id"] for vote in first["votes"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [vote["is_counted"] for vote in first["votes"]] == [True] * 4 + [False] * 3
    assert first["counts"] == {"a": 2, "b": 1, "tie": 1, "both_bad": 0}
    assert (first["n"], first["p_a"], first["p_chosen"]) == (4, 0.625, 0.625)
    assert lines["3"]["counts"] == {"a": 1, "b": 0, "tie": 0, "both_bad": 2}
    fourth = lines["4"]
    assert (fourth["chosen"], fourth["adjudicated"]) == ("b", "b")
    assert (fourth["p_a"], fourth["is_adjudicated"]) == (pytest.approx(2 / 3), True)
    assert lines["8"]["gold"] == "a"
    assert lines["8"]["answer_a"]["text"] == HOSTILE
    assert first["votes"][2]["shown_left"] == "b"
    assert first["votes"][4]["undone"] == "2026-11-25T10:05:00Z"


def test_people_are_pseudonyms_that_are_the_same_in_all_files(exported):
    votes = exported.lines("votes")[0]["votes"]
    people = [vote["annotator"] for vote in votes]
    assert people[0] == people[5]  # l1 voted again
    assert len(set(people)) == 6
    assert people[6] == "judge"
    assert exported.lines("arena")[0]["judge"] == people[0]
    for file in exported.card.exports[1:]:
        assert b'"l1"' not in exported.content(file.name)


def test_pseudonyms_differ_from_export_to_export(export):
    first, second = (export(CAMPAIGN, validation_fraction=0) for _ in range(2))
    names = [one.lines("arena")[0]["judge"] for one in (first, second)]
    assert names[0] != names[1]
    # The rows are equal, the files are not: neither may take the other's place.
    assert first.card.content_sha256 != second.card.content_sha256


def test_names_are_in_the_sidecar_alone_where_they_were_asked_for(export):
    found = export(CAMPAIGN, names_labelers=True)
    assert found.lines("votes")[0]["votes"][0]["annotator"] == "l1"
    assert found.lines("arena")[0]["judge"] != "l1"


def test_pairs_without_a_preference_are_in_the_file_of_ties(exported):
    ties = exported.lines("ties")
    assert [tie["pair_id"] for tie in ties] == ["2", "9"]
    assert ties[0]["counts"] == {"a": 1, "b": 1, "tie": 0, "both_bad": 0}
    assert (ties[0]["answer_a"], ties[0]["model_b"]) == ("x", "two")
    assert ties[1]["adjudicated"] == "tie"


def test_trl_gets_prompts_apart_and_whole_conversations(exported):
    user = {"role": "user", "content": "one"}
    yes, no = ({"role": "assistant", "content": text} for text in ("yes", "no"))
    explicit, implicit = exported.lines("trl-explicit"), exported.lines("trl-implicit")
    assert explicit[0] == {
        "prompt": [user],
        "chosen": [yes],
        "rejected": [no],
        "split": "train",
    }
    assert implicit[0] == {
        "chosen": [user, yes],
        "rejected": [user, no],
        "split": "train",
    }
    assert explicit[3]["prompt"][0]["content"] == HOSTILE
    assert len(explicit) == len(implicit) == 6


def test_single_answers_are_labelled_by_what_was_said_of_them(exported):
    labels = {
        (line["prompt"][0]["content"], line["completion"][0]["content"]): line["label"]
        for line in exported.lines("kto")
    }
    assert labels == {
        ("one", "yes"): True,
        ("one", "no"): False,
        # Two of three called both bad, though one answer is preferred.
        ("three", "bad"): False,
        ("three", "worse"): False,
        ("four", "right"): True,
        ("four", "loud"): False,
        (HOSTILE, HOSTILE): False,
        (HOSTILE, "calm"): True,
        # Two of three find each acceptable, the rejected one too.
        ("ten", "fine"): True,
        ("ten", "good"): True,
        # One yes, one no: the preference decides.
        ("eleven", "so"): True,
        ("eleven", "so so"): False,
    }


def test_battles_have_a_line_for_each_vote_that_counts(exported):
    battles = exported.lines("arena")
    assert [one["winner"] for one in battles if one["question_id"] == "1"] == [
        "model_a",
        "model_a",
        "model_b",
        "tie",
    ]
    assert battles[6]["winner"] == "tie (bothbad)"
    assert len(battles) == 4 + 2 + 3 + 3 + 0 + 1 + 0 + 1 + 1 + 3 + 2
    first = battles[0]
    assert list(first) == [
        "question_id",
        "model_a",
        "model_b",
        "winner",
        "judge",
        "conversation_a",
        "conversation_b",
        "turn",
        "anony",
        "tstamp",
    ]
    assert first["conversation_b"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "no"},
    ]
    assert (first["model_a"], first["turn"]) == ("one", 1)
    assert first["tstamp"] == 1795600800.0


def test_argilla_gets_answers_by_question_and_the_judge_as_suggestion(exported):
    records = {record["id"]: record for record in exported.lines("argilla")}
    first = records["1"]
    values = {
        question: [one["value"] for one in answers]
        for question, answers in first["responses"].items()
    }
    assert values == {"preference": ["a", "a", "b", "tie"], "strength": [3, 1, 2]}
    assert first["suggestions"] == {
        "preference": {"value": "b", "score": None, "agent": "judge"}
    }
    assert first["fields"]["answer_a"] == "yes"
    acceptable = records["10"]["responses"]["acceptable-b"]
    assert [one["value"] for one in acceptable] == ["yes", "no", "yes"]
    assert records["8"]["metadata"]["gold"] == "a"
    assert records["7"]["responses"] == {}


def test_label_studio_selects_the_side_that_was_clicked(exported):
    tasks = json.loads(exported.content("label-studio.json.gz"))
    mine = [task for task in tasks if task["data"]["pair_id"] == "1"]
    assert [task["data"]["left_is"] for task in mine] == ["a", "b"]
    left, right = mine
    assert (left["data"]["left"], right["data"]["left"]) == ("yes", "no")
    told = [one["result"][0]["value"] for one in left["annotations"]]
    assert told == [
        {"selected": "left"},
        {"selected": "left"},
        {"choices": ["tie"]},
    ]
    # Shown B on the left, somebody chose B.
    told = [one["result"][0]["value"] for one in right["annotations"]]
    assert told == [{"selected": "left"}]
    assert left["annotations"][0]["lead_time"] == 1.5
    [judged] = left["predictions"]
    assert judged["model_version"] == "judge"
    assert judged["result"][0]["value"] == {"selected": "right"}


def test_the_readme_says_of_each_file_what_it_holds(exported):
    text = (exported.output / "exports" / "README.md").read_text()
    assert "11 comparisons with 24 votes, of which 20 count" in text
    assert "- 2: as many votes are for one answer as for the other" in text
    for file in exported.card.exports[1:]:
        assert f"## {file.name}\n\n{file.lines:,} line" in text
    lines = {file.name: file.lines for file in exported.card.exports}
    assert lines["votes.jsonl.gz"] == 11
    assert lines["kto.jsonl.gz"] == 12
    assert lines["label-studio.json.gz"] == 11


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"min_votes": 3}, ["1", "3", "4", "10"]),
        # Exactly this share is not more than it.
        ({"min_share": 0.625}, ["3", "4", "8", "10", "11"]),
        ({"min_share": 0.7}, ["4", "8", "11"]),
        ({"min_share": 1.0, "min_votes": 1}, ["4"]),
        # Without the second look, votes decide: 9 is taken, 4 the other way round.
        ({"uses_adjudicated": False}, ["1", "3", "4", "8", "9", "10", "11"]),
    ],
)
def test_settings_say_which_pairs_are_taken(export, changes, taken):
    found = export(CAMPAIGN, **changes)
    assert [row["pair_id"] for row in found.all_rows()] == taken
    chosen = {row["pair_id"]: row["chosen"][0]["content"] for row in found.all_rows()}
    assert chosen["4"] == ("right" if changes.get("uses_adjudicated", True) else "loud")


def test_a_weak_majority_is_no_tie(export):
    found = export(CAMPAIGN, min_share=0.7)
    assert [tie["pair_id"] for tie in found.lines("ties")] == ["2", "9"]
    assert found.lines("votes")[0]["why_not"] == "weak majority"


def test_pairs_of_one_prompt_stand_on_one_side(export):
    pairs = [
        pair(n, chat(f"prompt {n % 10}"), (f"a{n}", f"b{n}"), [vote(n, "ab"[n % 2])])
        for n in range(1, 41)
    ]
    pairs.append(pair(41, chat("prompt 3"), ("u", "v"), [vote(99, "both_bad")]))
    found = export(pairs, validation_fraction=0.3)
    sides = {
        split: {row["prompt"][0]["content"] for row in found.rows(split)}
        for split in ("train", "validation")
    }
    assert not sides["train"] & sides["validation"]
    assert len(sides["validation"]) == 3
    for line in found.lines("kto"):
        assert line["prompt"][0]["content"] in sides[line["split"]]
    places = [line["row"] for line in found.lines("votes") if line["row"]]
    told = [found.rows(place["split"])[place["number"]] for place in places]
    assert [row["pair_id"] for row in told] == [str(n) for n in range(1, 41)]
    assert found.card.shared_prompts == 30


def test_equal_pairs_are_counted_and_contradictions_told(export):
    pairs = [
        pair(1, chat("p"), ("x", "y"), [vote(1, "a")]),
        pair(2, chat("p"), ("x", "y"), [vote(2, "a")]),
        pair(3, chat("p"), ("y", "x"), [vote(3, "a")]),
        pair(4, chat("q"), ("x", "y"), [vote(4, "b")]),
    ]
    card = export(pairs, validation_fraction=0).card
    assert (card.rows, card.distinct_rows, card.duplicate_rows) == (4, 3, 1)
    assert card.shared_prompts == 1
    assert card.notes[0].startswith("1 pair is contradicted by another: the same two")
    assert len(card.notes) == 1


def test_texts_and_conversations_do_not_share_a_file_of_trl(export):
    pairs = [
        pair(1, "Once upon", (" a time", " a hill"), [vote(1, "a")]),
        pair(2, chat("Once upon"), ("Yes?", "No."), [vote(2, "b")]),
    ]
    found = export(pairs, validation_fraction=0)
    plain, talk = found.all_rows()
    assert (plain["is_chat"], talk["is_chat"]) == (False, True)
    assert plain["prompt"][0]["content"] == "Once upon"
    assert found.lines("trl-explicit-text") == [
        {
            "prompt": "Once upon",
            "chosen": " a time",
            "rejected": " a hill",
            "split": "train",
        }
    ]
    assert found.lines("trl-implicit-text")[0]["chosen"] == "Once upon a time"
    assert len(found.lines("kto-text")) == 2
    assert len(found.lines("trl-explicit")) == 1
    # The prompts read alike and are two.
    assert found.card.shared_prompts == 0


def test_a_campaign_of_texts_has_them_in_the_usual_file(export):
    found = export([pair(1, "Once", (" a", " b"), [vote(1, "a")])])
    assert found.lines("trl-explicit")[0]["prompt"] == "Once"
    assert "trl-explicit-text.jsonl.gz" not in [f.name for f in found.card.exports]
    assert "there is no validation split: all pairs have one prompt" in found.card.notes


def test_equal_lines_make_equal_files(export):
    first, second = (export(CAMPAIGN) for _ in range(2))
    names = [file.name for file in first.card.exports if "trl" in file.name]
    for name in names:
        one, two = (found.output / "exports" / name for found in (first, second))
        assert one.read_bytes() == two.read_bytes()
        # No flags, and so no name, and no time in the head of gzip (RFC 1952).
        assert one.read_bytes()[3:8] == bytes(5)


def test_calls_of_tools_are_kept(export):
    call = [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]
    prompt = [
        *chat("look"),
        {"role": "assistant", "content": None, "tool_calls": call},
        {"role": "tool", "content": "7"},
    ]
    found = export([pair(1, prompt, ("7", "8"), [vote(1, "a")])])
    turns = found.all_rows()[0]["prompt"]
    assert turns[1]["content"] == ""
    assert json.loads(turns[1]["tool_calls"]) == call
    assert found.lines("trl-explicit")[0]["prompt"][1]["tool_calls"] == call


@pytest.mark.parametrize(
    ("pairs", "changes", "reason"),
    [
        ([], {}, "no pair is decided: of 0 comparisons none was found"),
        (CAMPAIGN[1:2], {}, "1: as many votes are for one answer as for the other"),
        (CAMPAIGN[:1], {"min_votes": 9}, "1: fewer people voted than min_votes"),
    ],
)
def test_an_export_that_would_have_no_row_says_why(export, pairs, changes, reason):
    with pytest.raises(BadInputError, match=reason):
        export(pairs, **changes)


def test_a_broken_line_is_named(tmp_path):
    source = tmp_path / "campaign.jsonl"
    good = LabeledPair.model_validate(CAMPAIGN[0]).model_dump_json()
    source.write_text(f'{good}\n{{"id": 2}}\n')
    with pytest.raises(BadInputError, match=r"line 2 .* prompt: Field required"):
        run_export(ExportSpec(campaign=str(source)), context=FakeContext(tmp_path))


def test_a_stopped_export_keeps_nothing_open(tmp_path):
    source = tmp_path / "campaign.jsonl"
    source.write_text(LabeledPair.model_validate(CAMPAIGN[0]).model_dump_json())
    context: Any = FakeContext(tmp_path)
    context.stop.set()
    with pytest.raises(Stopped):
        run_export(ExportSpec(campaign=str(source)), context=context)


def test_an_exact_half_is_no_preference_however_many_votes():
    votes = [vote(n, "a" if n % 2 else "b") for n in range(1, 15)]
    votes += [vote(n, "tie") for n in range(20, 25)]
    labeled = LabeledPair.model_validate(pair(1, chat("p"), ("x", "y"), votes))
    assert decide(labeled, ExportSpec(campaign="c")).why_not == "no preference"
