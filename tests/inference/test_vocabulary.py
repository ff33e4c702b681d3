"""Text that streams: whole characters, and nothing of a stop sequence."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inference.vocabulary import REPLACEMENT, TextStream, Vocabulary
from tiny_decoders import TEXT, byte_vocabulary
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import UnigramTrainer, WordPieceTrainer

BYTES = byte_vocabulary()


def unigram() -> Vocabulary:
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    trainer = UnigramTrainer(
        vocab_size=80, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    inner.train_from_iterator([TEXT] * 5, trainer)
    return Vocabulary(inner, frozenset({0}))


def wordpiece() -> Vocabulary:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece()
    trainer = WordPieceTrainer(
        vocab_size=120, special_tokens=["[UNK]"], show_progress=False
    )
    inner.train_from_iterator([TEXT] * 5, trainer)
    return Vocabulary(inner, frozenset({0}))


def streamed(
    vocabulary: Vocabulary, text: str, stops: tuple[str, ...] = ()
) -> list[str]:
    stream = TextStream(vocabulary, stops)
    parts = [stream.push(one) for one in vocabulary.tokenizer.encode(text).ids]
    return [*parts, stream.flush()]


@pytest.mark.parametrize("make", [byte_vocabulary, unigram, wordpiece])
def test_the_parts_are_the_whole(make):
    vocabulary = make()
    text = TEXT * 20  # longer than the window that is decoded again
    expected = vocabulary.decode(vocabulary.tokenizer.encode(text).ids)
    assert "".join(streamed(vocabulary, text)) == expected


@given(st.text(max_size=200))
@example("0" * 13 + "\x80" * 17 + "\u0800" * 2 + "\U00010000" * 3)
@settings(max_examples=60, deadline=None)
def test_any_text_survives_whole_characters_at_a_time(text):
    parts = streamed(BYTES, text)
    assert "".join(parts) == text
    if REPLACEMENT not in text:
        assert not any(REPLACEMENT in part for part in parts)


def test_half_a_character_is_held_back_and_told_in_the_end():
    ids = BYTES.tokenizer.encode("x🦜").ids
    stream = TextStream(BYTES)
    shown = "".join(stream.push(one) for one in ids[:-1])
    assert shown == "x"
    assert stream.flush() == REPLACEMENT


@pytest.mark.parametrize(
    ("text", "stops", "shown", "met"),
    [
        ("one two three", ("two",), "one ", "two"),
        ("one two three", ("three", "two"), "one ", "two"),
        ("aXbXYc", ("XY",), "aXb", "XY"),
        ("no end here", ("END",), "no end here", ""),
        ("stops", ("stops",), "", "stops"),
        ("ends with ST", ("STOP",), "ends with ST", ""),
        ("a\n\nb", ("\n\n",), "a", "\n\n"),
    ],
)
def test_nothing_of_a_stop_sequence_is_shown(text, stops, shown, met):
    stream = TextStream(BYTES, stops)
    seen = ""
    for one in BYTES.tokenizer.encode(text).ids:
        seen += stream.push(one)
        assert not any(stop in seen for stop in stops)
        if stream.stop:
            break
    assert seen + stream.flush() == shown
    assert stream.stop == met


def test_special_tokens_are_no_text():
    stream = TextStream(BYTES)
    assert stream.push(0) == ""
    assert stream.flush() == ""
    assert BYTES.text_of(0) == "<end>"


def test_tokens_tell_their_bytes():
    ids = BYTES.tokenizer.encode("東").ids
    told = [BYTES.bytes_of(one) for one in ids]
    assert bytes(byte for part in told for byte in part).decode() == "東"


def test_bytes_that_never_become_a_character_are_not_waited_for():
    [half] = BYTES.tokenizer.encode("é").ids[:1]
    stream = TextStream(BYTES)
    shown = "".join(stream.push(half) for _ in range(9))
    assert shown.startswith(REPLACEMENT * 4)
