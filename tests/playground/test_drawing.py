"""Answers are drawn as they come, and what is settled is never drawn again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trivium.models.card import markdown_html
from trivium.playground.drawing import Drawing

WHOLE = """# Two ways

Here is **one**, with `code`:

```python
def add(a, b):

    return a + b
```

And a list:

- first

  still first
- second

| a | b |
|---|---|
| 1 | 2 |

The end, <script>alert(1)</script>
"""


def drawn(text: str, size: int) -> list[str]:
    """What a reader sees after each piece."""
    drawing = Drawing()
    settled, seen = "", []
    for at in range(0, len(text), size):
        piece = drawing.add(text[at : at + size])
        settled += piece.settled
        seen.append(settled + piece.tail)
    return seen


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_in_the_end_it_is_drawn_as_the_whole(size):
    assert drawn(WHOLE, size)[-1] == markdown_html(WHOLE)


def test_what_is_unfinished_is_drawn_too():
    assert drawn("Hello **wor", 100) == ["<p>Hello **wor</p>\n"]
    assert "<pre><code>x = 1" in drawn("```\nx = 1", 100)[0]


def test_an_answer_that_looks_like_front_matter_is_shown():
    assert "quiet part" in drawn("---\nquiet part\n---\n", 100)[0]


def test_lists_go_on_counting_behind_a_block():
    assert '<ol start="2">' in drawn("1. a\n\nWhy.\n\n2. b\n", 3)[-1]


def test_only_what_follows_the_last_block_is_drawn_again():
    drawing = Drawing()
    first = drawing.add("One.\n\nTwo.")
    assert (first.settled, first.tail) == ("<p>One.</p>\n", "<p>Two.</p>\n")
    second = drawing.add(" More.")
    assert (second.settled, second.tail) == ("", "<p>Two. More.</p>\n")


@pytest.mark.parametrize(
    "text",
    [
        "```\na\n\nb\n\nc\n",
        "~~~~\n```\n\nb\n~~~\n\nc\n",
        "- a\n\n- b\n\n- c\n",
        "1. a\n\n2. b\n\n3. c\n",
        "> a\n\n> b\n",
    ],
)
def test_what_belongs_together_is_not_torn(text):
    drawing = Drawing()
    for letter in text:
        assert drawing.add(letter).settled == ""


@pytest.mark.parametrize("size", [1, 5])
def test_nothing_harmful_is_ever_drawn(size):
    text = "<img src=x onerror=alert(1)>\n\n[x](javascript:alert(1))\n\n<script>x"
    for seen in drawn(text, size):
        assert "<script" not in seen
        assert "<img" not in seen
        assert 'href="javascript' not in seen


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(alphabet="a1 \n`~-*>#|", max_size=60),
    size=st.integers(min_value=1, max_value=9),
)
def test_settled_text_ends_at_a_blank_line_and_nothing_is_lost(text, size):
    drawing = Drawing()
    for at in range(0, len(text), size):
        before = drawing.num_settled
        drawing.add(text[at : at + size])
        assert before <= drawing.num_settled <= len(drawing.text)
        settled = drawing.text[: drawing.num_settled]
        assert settled == "" or settled.endswith("\n\n")
    assert drawing.text == text
