"""Rows of every kind, as the world writes them, become the canonical columns."""

import json

import pytest
from pydantic import ValidationError
from runspec import IngestSpec

WHOLE = {"validation_fraction": 0}
ASK = {"role": "user", "content": "Who?"}
SAY = {"role": "assistant", "content": "Ada."}
CALL = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def turns(row):
    return [(turn["role"], turn["content"]) for turn in row["messages"]]


@pytest.fixture
def take(ingest):
    """Ingest rows of one kind whole; they must be taken."""

    def run(kind, *rows, name="rows.jsonl", **settings):
        source = rows[0] if isinstance(rows[0], str) else jsonl(*rows)
        made = ingest(source, name, dataset_kind=kind, **WHOLE | settings)
        assert made.card is not None, made.error
        return made

    return run


@pytest.fixture
def refuse(ingest):
    """Ingest rows of one kind; return why they are refused."""

    def run(kind, *rows, **settings):
        made = ingest(jsonl(*rows), "rows.jsonl", dataset_kind=kind, **settings)
        assert made.card is None
        return made.error

    return run


def test_an_alpaca_input_ends_the_prompt(take):
    made = take(
        "instructions",
        {"instruction": "Add.", "input": "1, 2", "output": "3"},
        {"instruction": "Wave.", "input": " ", "output": "o/"},
    )
    assert made.rows() == [
        {"prompt": "Add.\n\n1, 2", "completion": "3", "system": None},
        {"prompt": "Wave.", "completion": "o/", "system": None},
    ]
    assert made.card.layout == "Alpaca"
    assert made.card.mapping == {
        "prompt": "instruction",
        "completion": "output",
        "input": "input",
    }


def test_a_prompt_and_its_completion_are_taken_with_their_system(take):
    row = {"prompt": "Hi", "completion": "Ho", "system_prompt": "Be brief."}
    made = take("instructions", row)
    assert made.rows()[0]["system"] == "Be brief."
    assert made.card.layout == "TRL prompt and completion"


def test_columns_named_by_a_person_win(take):
    row = {"prompt": "no", "completion": "no", "Frage": "ja", "meta": {"a": "doch"}}
    chosen = {"prompt": "Frage", "completion": "meta.a"}
    made = take("instructions", row, columns=chosen)
    assert made.rows() == [{"prompt": "ja", "completion": "doch", "system": None}]
    assert made.card.mapping == chosen


def test_what_a_person_left_out_is_found_by_name(take):
    made = take(
        "instructions", {"Frage": "a", "answer": "b"}, columns={"prompt": "Frage"}
    )
    assert made.rows()[0]["completion"] == "b"


def test_sharegpt_speaks_of_humans_and_gpts(take):
    made = take(
        "conversations",
        {
            "system": "Be kind.",
            "conversations": [
                {"from": "human", "value": "Hi"},
                {"from": "gpt", "value": "Hello"},
            ],
        },
    )
    [row] = made.rows()
    assert turns(row) == [
        ("system", "Be kind."),
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]
    assert made.card.layout == "ShareGPT"


def test_tools_and_their_calls_are_kept_as_json(take):
    made = take(
        "conversations",
        {
            "messages": [
                {"role": "developer", "content": "Use tools."},
                ASK,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "content": "2", "tool_call_id": "x"},
                SAY,
            ],
            "tools": [{"type": "function", "function": {"name": "add"}}],
        },
    )
    [row] = made.rows()
    assert json.loads(row["messages"][2]["tool_calls"]) == [CALL]
    assert row["messages"][2]["content"] == ""
    assert [turn["role"] for turn in row["messages"]] == [
        "system", "user", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert json.loads(row["tools"])[0]["function"]["name"] == "add"
    assert "order alone" in made.notes()
    assert made.card.layout == "OpenAI messages with tools"


def test_a_call_told_by_its_role_is_a_call(take):
    made = take(
        "conversations",
        {
            "conversations": [
                {"from": "human", "value": "2 + 2?"},
                {"from": "function_call", "value": '{"name": "add"}'},
                {"from": "observation", "value": "4"},
                {"from": "gpt", "value": "Four."},
            ]
        },
    )
    assert made.rows()[0]["messages"][1]["tool_calls"] == '[{"name": "add"}]'


def test_content_in_parts_is_joined_and_pictures_are_refused(take, refuse):
    parts = [{"type": "text", "text": "Wh"}, {"type": "text", "text": "o?"}]
    made = take(
        "conversations", {"messages": [{"role": "user", "content": parts}, SAY]}
    )
    assert turns(made.rows()[0])[0] == ("user", "Who?")
    picture = [{"type": "image_url", "image_url": {"url": "x"}}]
    asked = {"role": "user", "content": picture}
    said = refuse("conversations", {"messages": [asked, SAY]})
    assert 'line 1: turn 1 holds "image_url"; only text can be learnt' in said


def test_prompt_and_completion_may_be_turns(take):
    made = take("conversations", {"prompt": [ASK], "completion": [SAY]})
    assert turns(made.rows()[0]) == [("user", "Who?"), ("assistant", "Ada.")]
    assert "TRL" in made.card.layout


def test_turns_may_be_json_in_a_csv(take):
    cell = json.dumps([ASK, SAY]).replace('"', '""')
    made = take("conversations", f'messages\n"{cell}"\n', name="rows.csv")
    assert turns(made.rows()[0]) == [("user", "Who?"), ("assistant", "Ada.")]


def reply(text, role, *replies, **more):
    return {"text": text, "role": role, "replies": list(replies), **more}


def test_a_tree_becomes_its_best_path_up_to_the_last_answer(take):
    tree = reply(
        "Q", "prompter",
        reply("worse", "assistant", reply("never", "prompter"), rank=1),
        reply("gone", "assistant", rank=0, deleted=True),
        reply("best", "assistant", reply("unanswered", "prompter"), rank=0),
        reply("unranked", "assistant", rank=None),
    )  # fmt: skip
    made = take("conversations", {"message_tree_id": "x", "prompt": tree})
    assert turns(made.rows()[0]) == [("user", "Q"), ("assistant", "best")]
    assert "best-ranked" in made.notes()


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([SAY], "turn 1 is the assistant's, before any of the user"),
        ([ASK, SAY, {"role": "system", "content": "x"}], "turn 3 is the system's"),
        ([ASK, {"role": "tool", "content": "x"}], "nobody called it"),
        ([ASK, {"role": "Wizard", "content": "x"}], 'turn 2 has the role "Wizard"'),
        ([ASK, {"role": None, "content": "x"}], "turn 2 has the role null"),
        ([ASK, {"role": "assistant", "content": " "}], 'turn 2: "content" is empty'),
        ([ASK, {"role": "assistant", "content": 5}], 'turn 2: "content" is a number'),
        ([ASK, {"role": "assistant"}], "turn 2 has no content"),
        ([ASK, "Ada."], "turn 2 is text, expected an object"),
        ({"a": 1}, '"messages" is an object, expected a list of turns'),
    ],
)
def test_a_turn_that_is_wrong_is_named(messages, reason, refuse):
    said = refuse("conversations", {"messages": [ASK, SAY]}, {"messages": messages})
    assert "1 row is bad. line 2: " in said
    assert reason in said


def test_an_unanswered_conversation_is_bad_among_answered_ones(ingest):
    source = jsonl({"messages": [ASK]}, {"messages": [ASK, SAY]}, {"messages": [ASK]})
    made = ingest(source, "r.jsonl", dataset_kind="conversations")
    assert "line 1: nobody answers" in made.error
    assert "line 3: nobody answers" in made.error
    made = ingest(source, "r.jsonl", dataset_kind="conversations", bad_rows="skip")
    assert (made.card.rows, made.card.skipped_rows) == (1, 2)
    assert made.card.unanswered_rows == 0


def test_conversations_without_any_answer_are_kept_and_said_to_be(take):
    made = take(
        "conversations", {"messages": [ASK]}, {"messages": [{**ASK, "content": "Why?"}]}
    )
    assert [turns(row) for row in made.rows()] == [
        [("user", "Who?")],
        [("user", "Why?")],
    ]
    assert made.card.unanswered_rows == 2
    assert "no conversation has an assistant turn" in made.notes()


def test_labels_may_be_numbers_or_words(take):
    made = take(
        "labelled",
        {"text": "a", "label": 1},
        {"text": "b", "label": "good"},
        {"text": "c", "label": True},
        {"text": "d", "label": 1.0},
    )
    assert [row["label"] for row in made.rows()] == ["1", "good", "true", "1"]
    assert made.card.labels[0] == ("1", 2)
    assert made.card.num_labels == 3


def test_a_label_that_is_none_is_named(refuse):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": None}]
    rows += [{"text": "c", "label": [1]}, {"text": "d", "label": "long" * 100}]
    said = refuse("labelled", *rows)
    assert 'line 2: "label" is null' in said
    assert 'line 3: "label" is a list' in said
    assert 'line 4: "label" has 400 characters' in said


def test_translations_inside_of_objects_are_reached(take):
    row = {"translation": {"en": "house", "de": "Haus"}}
    chosen = {"prompt": "translation.en", "completion": "translation.de"}
    made = take("text-to-text", row, columns=chosen)
    assert made.rows() == [{"prompt": "house", "completion": "Haus"}]


@pytest.mark.parametrize(
    ("kind", "row", "question"),
    [
        ("instructions", {"a": "x", "answer": "y"}, "which one is the prompt"),
        ("text-to-text", {"source": "x", "b": "y"}, "which one is the completion"),
        ("labelled", {"text": "x", "b": "y"}, "which one is the label"),
        ("conversations", {"a": "x", "b": "y"}, "which one holds the turns"),
    ],
)
def test_columns_that_do_not_tell_are_asked_for(kind, row, question, refuse):
    assert question in refuse(kind, row)


def test_a_column_no_row_has_is_answered_with_those_there_are(refuse):
    said = refuse("labelled", {"a": "x", "b": "y"}, columns={"text": "c"})
    assert 'no column "c"; it has "a", "b"' in said


def test_a_table_without_names_gets_numbers(take):
    rows = f"{'long ' * 30}\tb\nc\td\n"
    chosen = {"prompt": "column 1", "completion": "column 2"}
    made = take("text-to-text", rows, name="r.tsv", columns=chosen)
    assert [row["completion"] for row in made.rows()] == ["b", "d"]
    assert "columns were numbered" in made.notes()


def test_a_person_may_say_whether_the_first_line_names_columns(take):
    chosen = {"prompt": "column 1", "completion": "column 2"}
    made = take("text-to-text", "a,b\nc,d\n", name="r.csv", header="no", columns=chosen)
    assert made.card.rows == 2


def test_copies_and_shared_prompts_are_counted(take):
    row = {"prompt": "a", "completion": "b"}
    made = take("instructions", row, row, {**row, "completion": "c"})
    card = made.card
    assert (card.duplicate_rows, card.distinct_rows, card.shared_prompts) == (1, 2, 1)


def test_conversations_that_part_late_share_their_prompt(take):
    second = {**SAY, "content": "Eve."}
    made = take("conversations", {"messages": [ASK, SAY]}, {"messages": [ASK, second]})
    assert made.card.shared_prompts == 1


def test_equal_conversations_stand_on_one_side(take):
    rows = [{"messages": [{**ASK, "content": f"{at % 20}?"}, SAY]} for at in range(60)]
    made = take("conversations", *rows, validation_fraction=0.3)
    train, validation = (set(map(str, made.rows(side))) for side in made.card.splits)
    assert validation
    assert not train & validation


def test_characters_are_those_of_all_texts(take):
    made = take(
        "conversations",
        {"messages": [{**ASK, "content": "é?"}, {**SAY, "content": "abc"}]},
        {"messages": [{**ASK, "content": "12345"}, {**SAY, "content": "6789"}]},
    )
    card = made.card
    assert (card.characters, card.longest_row) == (14, 9)
    assert card.length_histogram == [(8, 1), (16, 1)]
    assert card.turns == [(2, 2)]
    assert card.roles == {"user": 2, "assistant": 2}
    assert card.column_lengths == {
        "user": [(2, 1), (4, 0), (8, 1)],
        "assistant": [(4, 2)],
    }


def test_lengths_of_prompt_and_completion_are_told_apart(take):
    made = take("instructions", {"prompt": "a", "completion": "abc"})
    assert made.card.column_lengths == {"prompt": [(1, 1)], "completion": [(4, 1)]}


def test_what_differs_only_in_what_is_missing_has_another_hash(take):
    plain = take("instructions", {"prompt": "a", "completion": "b"})
    again = take("instructions", {"prompt": "a", "completion": "b", "system": ""})
    other = take("instructions", {"prompt": "a", "completion": "b", "system": "c"})
    assert plain.card.content_sha256 == again.card.content_sha256
    assert plain.card.content_sha256 != other.card.content_sha256


def test_turns_moved_from_row_to_row_have_another_hash(take):
    four = [ASK, SAY, ASK, SAY]
    long = take("conversations", {"messages": four}, {"messages": four[:2]})
    even = take("conversations", {"messages": four[:2]}, {"messages": four})
    assert long.card.content_sha256 != even.card.content_sha256


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"columns": {"prompt": "a"}}, "rows of text have no part 'prompt'"),
        ({"columns": {"text": ""}}, "needs a name of 1 to 200 characters"),
        ({"columns": {"text": "a\0"}}, "without NUL"),
        ({"columns": {"text": "a"}, "text_column": "b"}, "not both"),
        ({"dataset_kind": "labelled", "text_column": "b"}, "use columns"),
        (
            {
                "dataset_kind": "conversations",
                "columns": {"messages": "a", "prompt": "b"},
            },
            "name the one or the others",
        ),
    ],
)
def test_a_mapping_that_would_be_ignored_is_refused(chosen, sentence):
    with pytest.raises(ValidationError, match=sentence):
        IngestSpec(source="x", file_name="x", **chosen)
