"""Conversations as JSON lines: read whole or not at all, and written as read."""

import json

import pytest
from trivium.playground import exchange

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Grüße, 你好, שלום"},
    {"role": "assistant", "content": "Hello.\nAgain."},
]


def line(*messages: object, **more: object) -> str:
    return json.dumps({"messages": list(messages), **more})


def user(content: object = "Hi") -> dict[str, object]:
    return {"role": "user", "content": content}


def wrong(*lines: str) -> list[str]:
    with pytest.raises(exchange.BadLinesError) as caught:
        exchange.read_lines("\n".join(lines).encode())
    return caught.value.lines


def test_what_is_written_is_read_again():
    other = [{"role": "user", "content": 'A "quote" \\ and \u2028 a line end'}]
    written = "".join(exchange.write_lines([TALK, other]))
    assert written.count("\n") == 2
    assert exchange.read_lines(written.encode()) == [TALK, other]


def test_blank_lines_a_mark_and_windows_line_ends_are_no_matter():
    content = f"\ufeff{line(user())}\r\n\r\n{line(user())}\r\n".encode()
    assert len(exchange.read_lines(content)) == 2


def test_content_in_parts_is_joined_and_other_keys_are_passed_over():
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    [read] = exchange.read_lines(line(user(parts), tools=[], id=3).encode())
    assert read == [{"role": "user", "content": "one two"}]


def test_developers_are_the_system():
    [read] = exchange.read_lines(
        line({"role": "developer", "content": "Be kind."}, user()).encode()
    )
    assert read[0]["role"] == "system"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "no object with messages"),
        ('{"prompt": "x"}', "no object with messages"),
        ('{"messages": []}', "no list of messages"),
        ('{"messages": "x"}', "no list of messages"),
        (line("x"), "message 1 is no object"),
        (line(user(), {"role": "tool", "content": "x"}), "message 2 has the role"),
        (line({"content": "x"}), "message 1 has the role null"),
        (line(user(None)), "message 1 has no text"),
        (line(user([{"type": "image_url"}])), "a part that is no text"),
        (line(user("a\0b")), "NUL"),
        (line(user("\ud800")), "half of a character"),
        (line({"role": "assistant", "content": "x"}), "before any user"),
        (line({"role": "system", "content": "x"}), "nobody says anything"),
        (line(user(), {"role": "system", "content": "x"}), "message 2 is the system's"),
        ("[" * 100_000, "too deeply"),
    ],
)
def test_a_bad_line_is_named_with_its_reason(bad, reason):
    [told] = wrong(line(user()), "", bad)
    assert told.startswith("Line 3: ")
    assert reason in told


def test_all_bad_lines_are_named_up_to_a_limit():
    assert len(wrong("x", line(user()), "y")) == 2
    assert len(wrong(*["x"] * 50)) == exchange.MAX_NAMED


def test_a_file_that_is_no_text_names_the_line():
    with pytest.raises(exchange.BadLinesError, match="Line 2 is not written in UTF-8"):
        exchange.read_lines(line(user()).encode() + b"\n\xff\xfe")


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_a_conversation_is_refused(content):
    with pytest.raises(exchange.BadLinesError, match="no conversation"):
        exchange.read_lines(content)


def test_too_many_conversations_are_refused(monkeypatch):
    monkeypatch.setattr(exchange, "MAX_CONVERSATIONS", 2)
    assert "more than 2" in wrong(*[line(user())] * 3)[0]
