"""A split text is shown whole, each character once."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trivium.tokenizers.models import Tokenizer
from trivium.tokenizers.pieces import pieces
from trivium.tokenizers.splitting import Token, split_text


def test_tokens_that_share_a_character_are_one_piece():
    tokens = [Token(1, "a", 0, 1), Token(2, "Ã", 1, 2), Token(3, "©", 1, 2)]
    shown = pieces("aé", tokens)
    assert [(piece.text, [token.id for token in piece.tokens]) for piece in shown] == [
        ("a", [1]),
        ("é", [2, 3]),
    ]


def test_a_token_that_reaches_into_the_next_character_joins_both():
    tokens = [Token(1, "x", 0, 1), Token(2, "y", 0, 2), Token(3, "z", 2, 3)]
    assert [piece.text for piece in pieces("éèa", tokens)] == ["éè", "a"]


def test_text_without_a_token_is_shown_as_dropped():
    tokens = [Token(1, "two", 1, 4), Token(2, "words", 5, 10)]
    shown = pieces(" two words ", tokens)
    assert [(piece.text, len(piece.tokens)) for piece in shown] == [
        (" ", 0),
        ("two", 1),
        (" ", 0),
        ("words", 1),
        (" ", 0),
    ]


def test_neighbours_differ_in_hue():
    tokens = [Token(at, "a", at, at + 1) for at in range(12)]
    hues = [piece.hue for piece in pieces("a" * 12, tokens)]
    assert all(one != two for one, two in pairwise(hues))


@pytest.mark.django_db
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_pieces_make_up_the_text(tokenizer: Tokenizer, text: str):
    tokens = split_text(tokenizer, text)
    shown = pieces(text, tokens)
    assert "".join(piece.text for piece in shown) == text
    assert [token for piece in shown for token in piece.tokens] == tokens
