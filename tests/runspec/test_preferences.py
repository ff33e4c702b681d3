"""Stored pairs become what TRL reads, and come back as they were."""

import json
from typing import Any

import pytest
from runspec.preferences import FORMS, to_trl, trl_lines


def turn(role: str, content: str, calls: str | None = None) -> dict[str, Any]:
    return {"role": role, "content": content, "tool_calls": calls}


PLAIN = {
    "prompt": [turn("user", "The sky is")],
    "chosen": [turn("assistant", " blue.")],
    "rejected": [turn("assistant", " green.")],
    "is_chat": False,
}
CHAT = {
    "prompt": [turn("system", "Be brief."), turn("user", "Who?")],
    "chosen": [turn("assistant", "", '[{"name": "ask"}]')],
    "rejected": [turn("assistant", "No idea.")],
    "is_chat": True,
}


def test_plain_pairs_are_strings_as_they_were_written():
    assert to_trl(PLAIN, "explicit") == [
        {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}
    ]
    assert to_trl(PLAIN, "implicit") == [
        {"chosen": "The sky is blue.", "rejected": "The sky is green."}
    ]
    assert to_trl(PLAIN, "kto") == [
        {"prompt": "The sky is", "completion": " blue.", "label": True},
        {"prompt": "The sky is", "completion": " green.", "label": False},
    ]
    bare = {**PLAIN, "prompt": []}
    assert to_trl(bare, "explicit")[0]["prompt"] == ""


def test_conversations_are_turns_with_their_calls():
    [row] = to_trl(CHAT, "explicit")
    assert row["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who?"},
    ]
    called = {"role": "assistant", "content": "", "tool_calls": [{"name": "ask"}]}
    assert row["chosen"] == [called]
    [whole] = to_trl(CHAT, "implicit")
    assert whole["chosen"] == [*row["prompt"], called]
    assert [len(one["prompt"]) for one in to_trl(CHAT, "kto")] == [2, 2]


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="known are explicit, implicit, kto"):
        to_trl(PLAIN, "pairs")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_lines_are_written_one_row_at_a_time(form):
    def rows():
        yield PLAIN
        raise AssertionError("the second row was read before the first was written")

    first = next(trl_lines(rows(), form))
    assert json.loads(first)
    assert first.endswith("}\n")
