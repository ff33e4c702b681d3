"""Text of unknown origin is shown whole, escaped, and without disguise."""

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st
from trivium.datasets.histogram import HEIGHT, WIDTH, bars
from trivium.datasets.templatetags.visible import visible
from trivium.datasets.visible import is_hidden, mark_hidden

TAG = re.compile(r'<span class="hidden-character" title="[^"<>]*">[^<>]*</span>')


@given(st.text())
def test_only_hidden_characters_are_marked(text: str):
    html = mark_hidden(text)
    plain = TAG.sub("", html)
    assert "<" not in plain
    assert unescape(plain) == "".join(one for one in text if not is_hidden(one))
    assert len(TAG.findall(html)) == sum(map(is_hidden, text))


def test_a_long_text_says_how_much_is_left_out():
    assert visible("a" * 1_500, 10) == (
        'aaaaaaaaaa<span class="cut-text"> … 1,490 more characters</span>'
    )


@given(st.lists(st.integers(0, 10**12), max_size=40))
def test_bars_stay_inside_the_drawing(rows: list[int]):
    for bar in bars([(2**at, number) for at, number in enumerate(rows)]):
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
        assert 0 <= bar.y <= HEIGHT
        assert (bar.height > 0) == (bar.rows > 0)
